/**
 * Charts as inline SVG: stacked bars and lines over one axis, with a tip for the values under the pointer.
 */

import { el, put, svg, swatch } from "./dom.js";

const BOTTOM = 18;
const TOP = 6;
const RIGHT = 2;
/** Pixels between an axis and its labels, and between two labels. */
const GAP = 8;
/** Pixels: a chart lower than this has no room for many labels. */
const LOW = 90;
const STEPS = [1, 2, 2.5, 5, 10];

/** About `wanted` marks for an axis from 0 to at least `top`. */
function marks(top, wanted) {
  if (!(top > 0)) return [0, 1];
  const rough = top / wanted;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = size * STEPS.find((each) => each * size >= rough * 0.999);
  const count = Math.ceil(top / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => index * step);
}

const ink = document.createElement("canvas").getContext("2d");

/** The width of a label in pixels, measured without laying out the page: it depends on the viewer's locale and fonts. */
function widthOf(text) {
  return ink.measureText(text).width;
}

function stacked(bars, points) {
  const sums = new Array(points).fill(0);
  for (const { values } of bars) values.forEach((value, index) => (sums[index] += value));
  return sums;
}

/** A chart that fills `host`. */
export class Chart {
  constructor(host) {
    this.host = host;
    this.tip = el("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    host.addEventListener("pointermove", (event) => this.point(event));
    host.addEventListener("pointerleave", () => this.unpoint());
    host.addEventListener("click", (event) => this.open(event));
    new ResizeObserver(([{ contentRect }]) => this.resize(contentRect)).observe(host);
  }

  /**
   * `plot`: `points`, `bars[{slot, values}]`, `lines[{kind, values}]`, `ticks[{at, label}]`, `amount` (a value as text for the
   * axis), `label` (the chart in a sentence), `describe(point)`: `{title, rows[{slot, name, amount}]}`, and `open(point)` where a click
   * leads somewhere.
   */
  draw(plot) {
    this.plot = plot;
    this.host.classList.toggle("opens", Boolean(plot.open));
    this.paint();
  }

  resize({ width, height }) {
    this.width = Math.round(width);
    this.height = Math.round(height);
    if (this.plot) this.paint();
  }

  paint() {
    const { bars = [], lines = [], points, amount, label } = this.plot;
    const { width, height } = this;
    if (!width || !height) return;
    const { fontFamily, fontSize } = getComputedStyle(this.host);
    ink.font = `${fontSize} ${fontFamily}`;
    const top = Math.max(0, ...stacked(bars, points), ...lines.flatMap((line) => line.values));
    const axis = marks(top, height < LOW ? 2 : 3);
    const left = Math.ceil(Math.max(...axis.map((value) => widthOf(amount(value))))) + GAP;
    this.left = left;
    this.x = (at) => left + (at / points) * (width - left - RIGHT);
    this.y = (value) => height - BOTTOM - (value / axis.at(-1)) * (height - BOTTOM - TOP);
    this.cursor = svg("line", { class: "cursor", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
    const image = svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label },
      axis.map((value) => this.mark(value, amount, width)),
      this.ticks(width, height),
      this.bars(bars, points),
      lines.map((line) => this.line(line)),
      this.cursor,
    );
    put(this.host, image, this.tip);
    if (this.pointed !== undefined) this.tellAt(this.pointed);
  }

  mark(value, amount, width) {
    const y = this.y(value);
    return svg(
      "g",
      { class: value ? "grid" : "grid base" },
      svg("line", { x1: this.left, x2: width - RIGHT, y1: y, y2: y }),
      svg("text", { x: this.left - GAP, y: y + 3.5, "text-anchor": "end" }, amount(value)),
    );
  }

  /** Labels under the axis, moved inwards at the ends; one that would stick out or touch the previous one is left out. */
  ticks(width, height) {
    const { ticks, points } = this.plot;
    let taken = 0;
    return ticks.map(({ at, label }) => {
      const room = widthOf(label);
      const x = this.x(at);
      const [anchor, from] = at === 0 ? ["start", x] : at === points ? ["end", x - room] : ["middle", x - room / 2];
      if (from < taken || from + room > width) return null;
      taken = from + room + GAP;
      return svg("text", { class: "tick", x, y: height - 3, "text-anchor": anchor }, label);
    });
  }

  bars(bars, points) {
    const base = new Array(points).fill(0);
    const step = this.x(1) - this.x(0);
    const gap = step > 5 ? 1 : step > 2.5 ? 0.5 : 0;
    return bars.map(({ slot, values }) => {
      let path = "";
      values.forEach((value, index) => {
        if (!value) return;
        const from = this.y(base[index]);
        base[index] += value;
        path += `M${(this.x(index) + gap / 2).toFixed(2)} ${from.toFixed(2)}V${this.y(base[index]).toFixed(2)}h${(step - gap).toFixed(2)}V${from.toFixed(2)}z`;
      });
      return svg("path", { class: `fill slot-${slot}`, d: path });
    });
  }

  line({ kind, values }) {
    if (!values.length) return null;
    const spots = [0, ...values].map((value, index) => `${this.x(index).toFixed(2)} ${this.y(value).toFixed(2)}`);
    const end = { cx: this.x(values.length), cy: this.y(values.at(-1)), r: 3 };
    return svg(
      "g",
      { class: `line ${kind}` },
      svg("path", { class: "area", d: `M${spots.join("L")}V${this.y(0)}H${this.x(0)}z` }),
      svg("path", { class: "stroke", d: `M${spots.join("L")}` }),
      kind === "now" && svg("circle", end),
    );
  }

  point(event) {
    if (!this.plot || !this.x) return;
    const across = event.clientX - this.host.getBoundingClientRect().left;
    const step = this.x(1) - this.x(0);
    const index = Math.floor((across - this.left) / step);
    if (index < 0 || index >= this.plot.points) this.unpoint();
    else this.tellAt(index);
  }

  open(event) {
    this.point(event); // a finger has not pointed before
    if (this.pointed !== undefined) this.plot.open?.(this.pointed);
  }

  unpoint() {
    this.pointed = undefined;
    this.tip.hidden = true;
    this.cursor?.setAttribute("visibility", "hidden");
  }

  tellAt(index) {
    const shown = index < this.plot.points && this.plot.describe(index);
    if (!shown) return this.unpoint();
    this.pointed = index;
    const x = (this.x(index) + this.x(index + 1)) / 2;
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.cursor.setAttribute("visibility", "visible");
    put(
      this.tip,
      el("p", {}, shown.title),
      shown.rows.map(({ slot, name, amount }) =>
        el("p", { class: "row" }, slot !== undefined && swatch(slot), el("span", { class: "name" }, name), el("b", {}, amount)),
      ),
    );
    this.tip.hidden = false;
    const room = this.host.clientWidth - this.tip.offsetWidth;
    const beside = x + 14 > room ? x - 14 - this.tip.offsetWidth : x + 14;
    this.tip.style.setProperty("--x", `${Math.max(0, Math.min(beside, room))}px`);
    return undefined;
  }
}
