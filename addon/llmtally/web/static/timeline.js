/**
 * Tokens and cost over time by model, and today's running cost against yesterday's.
 */

import { Chart } from "./chart.js";
import { Choice } from "./choice.js";
import { el, morph, put, swatch } from "./dom.js";
import * as format from "./format.js";
import { shortName, slotOf } from "./models.js";
import * as values from "./values.js";

const MINUTE = 60_000;
/** Minutes, label, and the label for screen readers. */
const RANGES = [
  ["60", "1 h", "last hour"],
  ["360", "6 h", "last 6 hours"],
  ["1440", "24 h", "last 24 hours"],
  ["10080", "7 d", "last 7 days"],
];
const SPACINGS = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1440];
const TICKS = 5;
const TOLD = 6;

/** The section with the three charts; `changed` is called when another period is chosen. */
export class Timeline {
  constructor(changed) {
    this.range = new Choice(document.getElementById("range"), "range", RANGES, changed);
    this.tokens = new Chart(document.getElementById("chart-tokens"));
    this.cost = new Chart(document.getElementById("chart-cost"));
    this.day = new Chart(document.getElementById("chart-day"));
  }

  draw(series, usage) {
    this.series = series;
    this.names = byCost(series);
    const word = costWord(usage.week);
    document.getElementById("cost-caption").textContent = `${word} per minute`;
    this.tokens.draw(this.stack("tokens", "Tokens per minute", format.compact, format.rounded));
    this.cost.draw(this.stack("cost_usd", `${word} per minute`, format.money, format.fineMoney));
    this.drawDay(word);
    morph(document.getElementById("legend"), this.names.map((name) => this.legendItem(name)));
  }

  legendItem(name) {
    const cost = spentOn(this.series, name);
    const shown = values.plain(shortName(name)).slice(0, 256);
    const title = `${values.plain(name).slice(0, 256)}${cost ? `, ${format.money(cost)}` : ""}`;
    return el("li", { title }, swatch(slotOf(name)), el("span", { class: "name" }, shown), " ", cost ? el("span", { class: "cost" }, values.money(cost)) : null);
  }

  /** `amount` formats a value beside the axis, `exact` under the pointer. */
  stack(field, what, amount, exact) {
    const { models, points, step_minutes: step } = this.series;
    const bars = this.names.map((name) => ({ slot: slotOf(name), values: models[name][field].map((value) => value / step) }));
    const at = startOf(this.series);
    const total = bars.reduce((sum, bar) => sum + bar.values.reduce((a, b) => a + b * step, 0), 0);
    return {
      points,
      bars,
      ticks: ticks(at, points, step),
      amount,
      label: `${what} by model, ${amount(total)} in total over the last ${format.duration(points * step * MINUTE)}. The numbers are under “As tables”.`,
      describe: (index) => ({ title: span(at(index), step), rows: this.tipRows(bars, index, exact) }),
    };
  }

  tipRows(bars, index, amount) {
    const rows = bars
      .map(({ slot, values: row }, place) => ({ slot, name: values.plain(shortName(this.names[place])).slice(0, 60), value: row[index] }))
      .filter(({ value }) => value > 0)
      .sort((one, other) => other.value - one.value);
    if (!rows.length) return [{ name: "nothing", amount: "" }];
    const sum = rows.reduce((total, { value }) => total + value, 0);
    const shown = rows.slice(0, TOLD).map(({ slot, name, value }) => ({ slot, name, amount: amount(value) }));
    return rows.length > 1 ? [...shown, { name: "total", amount: amount(sum) }] : shown;
  }

  drawDay(word) {
    const { step_minutes: step, today, yesterday } = this.series.cumulative;
    const at = dayOf(this.series, step);
    const points = yesterday.length;
    const soFar = today.at(-1) ?? 0;
    const before = yesterday[today.length - 1] ?? 0;
    put(
      document.getElementById("day-caption"),
      `${word} today`,
      el("span", { class: "aside" }, " ", values.money(soFar), " · yesterday by now ", values.money(before)),
    );
    this.day.draw({
      points,
      lines: [
        { kind: "before", values: yesterday },
        { kind: "now", values: today },
      ],
      ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => ({ at: share * points, label: format.hour(at(share * points)) })),
      amount: format.money,
      label: `${word} today so far ${format.money(soFar)}; yesterday by this time ${format.money(before)}, ${format.money(yesterday.at(-1))} in the whole day.`,
      describe: (index) => ({
        title: `by ${format.hour(at(index + 1))}`,
        rows: [
          index < today.length && { name: "today", amount: format.fineMoney(today[index]) },
          { name: "yesterday", amount: format.fineMoney(yesterday[index]) },
        ].filter(Boolean),
      }),
    });
  }
}

/** The name for a sum of costs: what a subscription covers is never "spent". */
export function costWord(totals) {
  if (!totals.api_value_usd) return "Spent";
  return totals.spent_usd ? "Cost incl. API value" : "API value";
}

/** The models of a series, the most expensive first. */
export function byCost(series) {
  return Object.keys(series.models).sort((one, other) => spentOn(series, other) - spentOn(series, one));
}

function spentOn(series, name) {
  return series.models[name].cost_usd.reduce((sum, value) => sum + value, 0);
}

/** A function from the index of a step to its start, in milliseconds. */
export function startOf({ from, step_minutes: step }) {
  return (index) => Date.parse(from) + index * step * MINUTE;
}

/** The same for steps of `step` minutes in the series' UTC day. */
export function dayOf({ generated_at: now }, step) {
  return (index) => Date.parse(`${now.slice(0, 10)}T00:00:00Z`) + index * step * MINUTE;
}

/** The period of a step as text. */
export function span(start, step) {
  return step < 60 * 24 ? `${format.soon(start)}${step > 1 ? `–${format.hour(start + step * MINUTE)}` : ""}` : format.dayName(start);
}

/** Marks at round local times. */
function ticks(at, points, step) {
  const spacing = SPACINGS.find((each) => (points * step) / each <= TICKS) ?? SPACINGS.at(-1);
  const found = [];
  for (let index = 0; index < points; index += 1) {
    const time = new Date(at(index));
    const minute = time.getHours() * 60 + time.getMinutes();
    if (minute % spacing < step) found.push({ at: index, label: spacing === SPACINGS.at(-1) ? format.dayName(time) : format.hour(time) });
  }
  return found;
}
