/**
 * Building elements: names and errors come off the wire, and are inserted as text that nothing parses as markup.
 */

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `properties`: `class`, `on<event>` listeners, booleans, and anything else as an attribute. */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Make an SVG element. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Replace the children of an element. */
export function put(element, ...children) {
  element.replaceChildren(...present(children));
}

function focusKey(element, key) {
  const same = [...element.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
  same?.focus({ preventScroll: true });
}

/**
 * Give an element new children by changing the present ones: what stays the same keeps its hover, its tooltip and its
 * selection, and what moves can be animated. Not for elements with listeners: the old listeners stay.
 */
export function morph(element, ...children) {
  const fresh = present(children).map((child) => (child instanceof Node ? child : document.createTextNode(child)));
  fresh.forEach((child, index) => {
    const old = element.childNodes[index];
    if (!old) element.append(child);
    else if (old.nodeName !== child.nodeName) old.replaceWith(child);
    else become(old, child);
  });
  while (element.childNodes.length > fresh.length) element.lastChild.remove();
}

function become(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    // The policy forbids style attributes; custom properties may be set one by one.
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const name of fresh.style) old.style.setProperty(name, fresh.style.getPropertyValue(name));
  morph(old, ...fresh.childNodes);
}

/**
 * Make the rows of a table body those of `items`, in their order. A row is rebuilt only when its version changed, so that a
 * live table costs only what changed, and focus and selection stay.
 */
export function keyedRows(body, items, { key, version, row }) {
  const known = new Map([...body.children].map((each) => [each.rowKey, each]));
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  let cursor = body.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let element = known.get(name);
    known.delete(name);
    if (!element || element.rowVersion !== version(item)) {
      const fresh = row(item);
      fresh.rowKey = name;
      fresh.rowVersion = version(item);
      if (element) {
        if (element === cursor) cursor = fresh;
        element.replaceWith(fresh);
      }
      element = fresh;
    }
    if (element === cursor) cursor = cursor.nextElementSibling;
    else body.insertBefore(element, cursor);
  }
  for (const gone of known.values()) gone.remove();
  if (focused !== undefined && !body.contains(document.activeElement)) focusKey(body, focused);
}

/** Text for screen readers only. */
export function spoken(text) {
  return el("span", { class: "spoken" }, text);
}

/** A small round mark in the colour of a model. */
export function swatch(slot) {
  return el("span", { class: `swatch slot-${slot}`, "aria-hidden": "true" });
}
