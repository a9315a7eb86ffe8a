/**
 * Tokens and cost over time by model, and today's running cost against yesterday's.
 */

import { Chart } from "./chart.js";
import { el, morph, put, swatch } from "./dom.js";
import * as format from "./format.js";
import { shortName, slotOf } from "./models.js";
import * as values from "./values.js";

const MINUTE = 60_000;
const RANGES = [
  [60, "1 h", "hour"],
  [360, "6 h", "6 hours"],
  [1440, "24 h", "24 hours"],
  [10080, "7 d", "7 days"],
];
const SPACINGS = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1440];
const TICKS = 5;
const TOLD = 6;
const REMEMBERED = "llmtally.range";

const newest = (names) => [...names].reverse();

/** The section with the three charts; `changed` is called when another period is chosen. */
export class Timeline {
  constructor(changed) {
    this.minutes = RANGES.some(([minutes]) => String(minutes) === stored()) ? Number(stored()) : RANGES[0][0];
    this.tokens = new Chart(document.getElementById("chart-tokens"));
    this.cost = new Chart(document.getElementById("chart-cost"));
    this.day = new Chart(document.getElementById("chart-day"));
    document.getElementById("range").append(...RANGES.map((range) => this.choice(range, changed)));
  }

  choice([minutes, label, said], changed) {
    const choose = () => {
      this.minutes = minutes;
      store(minutes);
      changed();
    };
    const input = el("input", { type: "radio", name: "range", value: minutes, checked: minutes === this.minutes, onchange: choose, "aria-label": `last ${said}` });
    return el("label", {}, input, el("span", { "aria-hidden": "true" }, label));
  }

  draw(series, usage) {
    this.series = series;
    this.names = Object.keys(series.models).sort((one, other) => spentOn(series, other) - spentOn(series, one));
    const word = costWord(usage.week);
    document.getElementById("cost-caption").textContent = `${word} per minute`;
    this.tokens.draw(this.stack("tokens", "Tokens per minute", format.compact));
    this.cost.draw(this.stack("cost_usd", `${word} per minute`, format.money));
    this.drawDay(word, usage.generated_at);
    morph(document.getElementById("legend"), this.names.map((name) => this.legendItem(name)));
  }

  legendItem(name) {
    const cost = spentOn(this.series, name);
    const shown = values.plain(shortName(name)).slice(0, 256);
    return el("li", { title: values.plain(name).slice(0, 256) }, swatch(slotOf(name)), el("span", { class: "name" }, shown), " ", cost ? values.money(cost) : null);
  }

  stack(field, what, amount) {
    const { models, points, step_minutes: step, from } = this.series;
    const bars = this.names.map((name) => ({ slot: slotOf(name), values: models[name][field].map((value) => value / step) }));
    const at = (index) => Date.parse(from) + index * step * MINUTE;
    const total = bars.reduce((sum, bar) => sum + bar.values.reduce((a, b) => a + b * step, 0), 0);
    return {
      points,
      bars,
      ticks: ticks(at, points, step),
      amount,
      label: `${what} by model, ${amount(total)} in all over the last ${format.duration(points * step * MINUTE)}. The numbers stand under “As tables”.`,
      tell: (index) => ({ title: span(at(index), step), rows: this.told(bars, index, amount) }),
    };
  }

  told(bars, index, amount) {
    const rows = bars
      .map(({ slot, values: row }, place) => ({ slot, name: values.plain(shortName(this.names[place])).slice(0, 60), value: row[index] }))
      .filter(({ value }) => value > 0)
      .sort((one, other) => other.value - one.value);
    if (!rows.length) return [{ name: "nothing", amount: "" }];
    const sum = rows.reduce((total, { value }) => total + value, 0);
    const shown = rows.slice(0, TOLD).map(({ slot, name, value }) => ({ slot, name, amount: amount(value) }));
    return rows.length > 1 ? [...shown, { name: "in all", amount: amount(sum) }] : shown;
  }

  drawDay(word, generatedAt) {
    const { step_minutes: step, today, yesterday } = this.series.cumulative;
    const start = Date.parse(`${generatedAt.slice(0, 10)}T00:00:00Z`);
    const points = yesterday.length;
    const at = (index) => start + index * step * MINUTE;
    const so_far = today.at(-1) ?? 0;
    const before = yesterday[today.length - 1] ?? 0;
    const caption = document.getElementById("day-caption");
    put(caption, `${word} today`, el("span", { class: "aside" }, ` ${format.money(so_far)} · yesterday by now ${format.money(before)}`));
    this.day.draw({
      points,
      lines: [
        { kind: "before", values: yesterday },
        { kind: "now", values: today },
      ],
      ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => ({ at: share * points, label: format.hour(at(share * points)) })),
      amount: format.money,
      label: `${word} today so far ${format.money(so_far)}; yesterday by this time ${format.money(before)}, ${format.money(yesterday.at(-1))} in the whole day.`,
      tell: (index) => ({
        title: `by ${format.hour(at(index + 1))}`,
        rows: [
          index < today.length && { name: "today", amount: format.money(today[index]) },
          { name: "yesterday", amount: format.money(yesterday[index]) },
        ].filter(Boolean),
      }),
    });
  }

  /** The same numbers as tables, newest first. */
  tables() {
    const { models, points, step_minutes: step, from, cumulative } = this.series;
    const at = (index) => Date.parse(from) + index * step * MINUTE;
    const all = newest(Array.from({ length: points }, (_, index) => index));
    const busy = all.filter((index) => this.names.some((name) => models[name].tokens[index] || models[name].cost_usd[index]));
    const day = Date.parse(`${this.series.generated_at.slice(0, 10)}T00:00:00Z`);
    const hours = Array.from({ length: 24 }, (_, hour) => hour);
    const perHour = 60 / cumulative.step_minutes;
    const byModel = (field, shown) => ({
      head: ["From", ...this.names.map((name) => values.name(shortName(name)))],
      rows: busy.map((index) => [span(at(index), step), ...this.names.map((name) => shown(models[name][field][index]))]),
    });
    return [
      { title: `Tokens in ${step} min`, ...byModel("tokens", values.count) },
      { title: `Cost in ${step} min`, ...byModel("cost_usd", values.fineMoney) },
      {
        title: "Cost of the day so far",
        head: ["By", "Today", "Yesterday"],
        rows: hours.map((each) => [
          format.hour(day + (each + 1) * 60 * MINUTE),
          values.money(cumulative.today[(each + 1) * perHour - 1]),
          values.money(cumulative.yesterday[(each + 1) * perHour - 1]),
        ]),
      },
    ];
  }
}

/** What a sum of costs may be called: subscription money is never spent. */
export function costWord(totals) {
  if (!totals.api_value_usd) return "Spent";
  return totals.spent_usd ? "Cost incl. API value" : "API value";
}

function spentOn(series, name) {
  return series.models[name].cost_usd.reduce((sum, value) => sum + value, 0);
}

function span(start, step) {
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

function stored() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null; // storage is denied to this page: nothing is remembered
  }
}

function store(minutes) {
  try {
    localStorage.setItem(REMEMBERED, minutes);
  } catch {
    // as above
  }
}
