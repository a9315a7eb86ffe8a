/**
 * A choice of one from a few, as a row of radio buttons. The browser remembers it.
 */

import { el } from "./dom.js";

export class Choice {
  /** Fill a fieldset. `options`: `[value, label, label for screen readers]`, the first is the default; `changed` is called without arguments. */
  constructor(host, name, options, changed) {
    const known = stored(name);
    this.value = options.some(([value]) => value === known) ? known : options[0][0];
    const choose = (event) => {
      this.value = event.target.value;
      store(name, this.value);
      changed();
    };
    host.append(
      ...options.map(([value, label, said]) =>
        el(
          "label",
          {},
          el("input", { type: "radio", name, value, checked: value === this.value, onchange: choose, "aria-label": said }),
          el("span", { "aria-hidden": "true" }, label),
        ),
      ),
    );
  }
}

function stored(name) {
  try {
    return localStorage.getItem(`llmtally.${name}`);
  } catch {
    return null; // storage is denied to this page: nothing is remembered
  }
}

function store(name, value) {
  try {
    localStorage.setItem(`llmtally.${name}`, value);
  } catch {
    // as above
  }
}
