/**
 * The sheet beside the page, in which a session, a call or a table opens. The address says which, so that Back works.
 */

import { el, put } from "./dom.js";

export class Sheet {
  /** `routes`: name to `async (parameters) => {title, content, after}`. */
  constructor(routes) {
    this.routes = routes;
    this.dialog = document.getElementById("sheet");
    this.depth = 0;
    this.dialog.addEventListener("close", () => this.leave());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    addEventListener("hashchange", () => this.route());
  }

  get path() {
    return location.hash.slice(1).split("/").map(decoded);
  }

  route() {
    const [name, ...parameters] = this.path;
    if (!this.routes[name]) {
      this.depth = 0;
      if (this.dialog.open) this.dialog.close();
      return;
    }
    this.depth = this.dialog.open ? this.depth + 1 : 1;
    this.show(name, parameters);
  }

  async show(name, parameters) {
    const turn = (this.turn = Symbol(name));
    const page = await this.routes[name](parameters);
    if (turn !== this.turn || !page) return;
    this.page = page;
    this.paint();
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    this.dialog.querySelector("h2").focus();
    page.after?.();
  }

  paint() {
    const { title, aside, content } = this.page;
    const back = this.depth > 1 && el("button", { class: "quiet", type: "button", onclick: () => history.back() }, "‹ Back");
    put(
      this.dialog,
      el("div", { class: "sheet-head" }, back, el("h2", { id: "sheet-title", tabindex: "-1" }, title), el("p", { class: "aside" }, aside ?? ""), this.closeButton()),
      el("div", { class: "sheet-body" }, content),
    );
  }

  closeButton() {
    return el("button", { class: "quiet close", type: "button", "aria-label": "Close", onclick: () => this.dialog.close() }, "Close ", el("kbd", { "aria-hidden": "true" }, "Esc"));
  }

  /** Draw what is open anew, because it changed; the place in it and the focus stay. */
  async refresh() {
    const [name, ...parameters] = this.path;
    if (!this.dialog.open || !this.routes[name]) return;
    const turn = this.turn;
    const page = await this.routes[name](parameters);
    if (turn !== this.turn || !page || !this.dialog.open) return;
    const { scrollTop } = this.dialog;
    const focused = document.activeElement;
    const key = focused?.dataset.key;
    const wasTitle = focused?.id === "sheet-title";
    this.page = page;
    this.paint();
    page.after?.();
    this.dialog.scrollTop = scrollTop;
    const again = wasTitle ? this.dialog.querySelector("h2") : [...this.dialog.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
    (again ?? this.dialog.querySelector(".close")).focus({ preventScroll: true });
  }

  leave() {
    this.turn = undefined;
    this.depth = 0;
    put(this.dialog);
    if (this.routes[this.path[0]]) history.pushState(null, "", location.pathname + location.search);
  }
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
