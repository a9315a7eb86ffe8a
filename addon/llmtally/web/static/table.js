/**
 * Tables: rows that open on a click, and arrow keys that go from row to row.
 */

import { el, keyedRows } from "./dom.js";

/** A table with the given columns, `{title, kind, hint}`, in which `draw(items)` shows rows; `row(item)` gives the cells. */
export class Table {
  constructor(caption, columns, { key, version, row, rowClass = () => "" }) {
    this.columns = columns;
    this.body = el("tbody", { onkeydown: walk, onclick: open });
    this.source = { key, version, row: (item) => el("tr", { class: rowClass(item) }, this.cells(row(item))) };
    this.element = el(
      "table",
      {},
      el("caption", { class: "spoken" }, caption),
      el("thead", {}, el("tr", {}, columns.map(({ title, kind = "", hint }) => el("th", { scope: "col", class: kind, title: hint }, title)))),
      this.body,
    );
  }

  cells(contents) {
    return contents.map((content, index) => el(index ? "td" : "th", { class: this.columns[index].kind ?? "", scope: index ? null : "row" }, content));
  }

  draw(items) {
    keyedRows(this.body, items, this.source);
  }
}

/** A table that is drawn once. */
export function plainTable(caption, columns, rows, className = "") {
  const table = new Table(caption, columns, { key: (row) => row, version: () => 0, row: (row) => row });
  table.draw(rows);
  table.element.className = className;
  return table.element;
}

/** The arrow keys go from row to row, Home and End to the first and last. */
function walk(event) {
  const row = event.target.closest("tr");
  const rows = [...event.currentTarget.rows];
  const place = rows.indexOf(row);
  const target = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: rows.length - 1 }[event.key];
  const link = target === undefined ? null : rows[target]?.querySelector("a");
  if (!link) return;
  event.preventDefault();
  link.focus();
}

/** A click anywhere in a row is one on its link, unless text is being selected. */
function open(event) {
  if (event.target.closest("a, button") || String(getSelection())) return;
  event.target.closest("tr")?.querySelector("a")?.click();
}
