/**
 * The numbers behind the charts, as tables.
 */

import { el } from "./dom.js";
import * as format from "./format.js";
import { shortName } from "./models.js";
import { plainTable } from "./table.js";
import { byCost, costWord, dayOf, span, startOf } from "./timeline.js";
import * as values from "./values.js";

const HOUR = 60;

/** What the drawer shows of a series, newest first. */
export function tablesPage(series, usage) {
  const word = costWord(usage.week);
  const step = series.step_minutes;
  return {
    title: "Over time",
    content: [
      section(`Tokens in ${step} min`, ...byModel(series, "tokens", values.count)),
      section(`${word} in ${step} min`, ...byModel(series, "cost_usd", values.fineMoney)),
      section(`${word} of the day so far`, ["By", "Today", "Yesterday"], byHour(series)),
    ],
  };
}

function section(title, head, rows) {
  const columns = head.map((text, index) => ({ title: text, kind: index ? "n" : "" }));
  return [el("h3", {}, title), el("div", { class: "scroll" }, plainTable(title, columns, rows))];
}

function byModel(series, field, shown) {
  const { models, points, step_minutes: step } = series;
  const names = byCost(series);
  const at = startOf(series);
  const busy = Array.from({ length: points }, (_, index) => points - 1 - index).filter((index) =>
    names.some((name) => models[name].tokens[index] || models[name].cost_usd[index]),
  );
  return [
    ["From", ...names.map((name) => values.name(shortName(name)))],
    busy.map((index) => [span(at(index), step), ...names.map((name) => shown(models[name][field][index]))]),
  ];
}

function byHour(series) {
  const { step_minutes: step, today, yesterday } = series.cumulative;
  const at = dayOf(series, HOUR);
  const hours = Array.from({ length: yesterday.length / (HOUR / step) }, (_, hour) => hour + 1);
  return hours.map((hour) => {
    const last = (hour * HOUR) / step - 1;
    return [format.hour(at(hour)), values.money(today[last]), values.money(yesterday[last])];
  });
}
