/**
 * The drawer that slides in beside the page with a session, a call or a table. The URL's hash says which, so that Back works.
 */

import { el, put } from "./dom.js";

export class Drawer {
  /**
   * `routes`: name to `async (parameters) => {title, aside, content, refresh}`; content that cannot change has no `refresh`.
   * `failed` gets the error of a failed request.
   */
  constructor(routes, failed) {
    this.routes = routes;
    this.failed = failed;
    this.dialog = document.getElementById("drawer");
    /** The pages that were open before, each with its scroll position and focus. */
    this.trail = [];
    this.dialog.addEventListener("close", () => this.leave());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    addEventListener("hashchange", () => this.route());
  }

  get path() {
    return location.hash.slice(2).split("/").map(decoded);
  }

  route() {
    const [name, ...parameters] = this.path;
    if (!Object.hasOwn(this.routes, name)) this.dialog.close();
    else if (this.trail.at(-1)?.hash === location.hash) this.comeBack(this.trail.pop());
    else {
      if (this.dialog.open) this.trail.push({ hash: this.hash, page: this.page, scrollTop: this.dialog.scrollTop, focused: document.activeElement });
      this.show(name, parameters);
    }
  }

  async show(name, parameters) {
    const turn = (this.turn = Symbol(name));
    this.style ??= loadStyle();
    const [page] = await Promise.all([this.routes[name](parameters), this.style]);
    if (turn !== this.turn || !page) return;
    this.paint(page);
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    this.dialog.querySelector("h2").focus();
  }

  comeBack({ page, scrollTop, focused }) {
    this.turn = undefined;
    this.paint(page);
    this.dialog.scrollTop = scrollTop;
    focused.focus({ preventScroll: true });
    if (!this.dialog.contains(document.activeElement)) this.dialog.querySelector("h2").focus({ preventScroll: true });
    this.refresh();
  }

  paint(page) {
    this.page = page;
    this.hash = location.hash;
    const back = this.trail.length > 0 && el("button", { class: "quiet", type: "button", onclick: () => history.back() }, "‹ Back");
    put(
      this.dialog,
      el("div", { class: "drawer-head" }, back, el("h2", { id: "drawer-title", tabindex: "-1" }, page.title), el("p", { class: "aside" }, page.aside ?? ""), this.closeButton()),
      el("div", { class: "drawer-body" }, page.content),
    );
  }

  closeButton() {
    return el("button", { class: "quiet close", type: "button", "aria-label": "Close", onclick: () => this.dialog.close() }, "Close ", el("kbd", { "aria-hidden": "true" }, "Esc"));
  }

  /** Update the open page in place, if it can change. */
  async refresh() {
    try {
      if (this.dialog.open) await this.page.refresh?.();
    } catch (problem) {
      this.failed(problem);
    }
  }

  leave() {
    this.turn = undefined;
    this.trail = [];
    put(this.dialog);
    if (Object.hasOwn(this.routes, this.path[0])) history.pushState(null, "", location.pathname + location.search);
  }
}

/** Load the drawer's style sheet. */
function loadStyle() {
  return new Promise((settle) => document.head.append(el("link", { rel: "stylesheet", href: "drawer.css", onload: settle, onerror: settle })));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
