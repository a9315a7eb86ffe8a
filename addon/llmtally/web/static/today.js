/**
 * What today costs, how fast money is spent, and how today's tokens are made up.
 */

import { el, morph, swatch } from "./dom.js";
import * as format from "./format.js";
import { shortName, slotOf } from "./models.js";
import { isUnknown, lastDirectory, NAMELESS, ranked, shareOf } from "./shares.js";
import * as values from "./values.js";

const BUCKETS = [
  ["cache_read_tokens", "cache read", "read"],
  ["cache_write_tokens", "cache write", "write"],
  ["input_tokens", "input", "input"],
  ["output_tokens", "output", "output"],
];

const COVERAGE = [
  ["priced", "priced", "fine"],
  ["unpriced", "unpriced", "warn"],
  ["unparsed", "unparsed", "bad"],
  ["no_usage", "no usage", "plain"],
  ["error", "refused", "plain"],
  ["duplicate", "duplicate", "plain"],
  ["bypassed", "bypassed", "warn"],
];

const HOUR = 60;

export function drawToday(usage) {
  const { today, burn_rate: burn, coverage } = usage;
  const since = new Date(`${usage.generated_at.slice(0, 10)}T00:00:00Z`);
  morph(document.getElementById("today-since"), el("span", { title: "Days begin at midnight UTC." }, `since ${format.hour(since)}, ${format.counted(today.calls, "call")}`));
  morph(
    document.getElementById("today-body"),
    el("dl", { class: "figures-row" }, moneyFigures(today), burnFigure(burn, usage.last_hour)),
    where(today),
    mix(today),
    el("ul", { class: "coverage", "aria-label": "Coverage: today's responses by how they were parsed" }, coverageItems(coverage)),
  );
}

function figure(label, amount, note, kind = "") {
  return el("div", { class: `figure ${kind}` }, el("dt", {}, label), el("dd", { class: "amount" }, amount), el("dd", { class: "note" }, note));
}

/** Billed money and a subscription's API value: two figures, never one sum. A kind that did not occur is left out. */
function moneyFigures(today) {
  const both = [];
  const missing = today.unpriced + today.uncounted;
  const why = `${format.exact(today.unpriced)} without a price, ${format.exact(today.uncounted)} without token counts`;
  const without = missing > 0 && el("span", { class: "warn", title: why }, `${format.counted(missing, "call")} not included`);
  if (!today.api_value_usd || today.spent_usd) {
    both.push(figure("Spent", isUnknown(today) ? values.unknown() : values.money(today.spent_usd), without || "billed per call"));
  }
  if (today.api_value_usd) {
    both.push(figure("API value", values.money(today.api_value_usd), both.length ? "subscription, not billed" : without || "subscription, not billed", "worth"));
  }
  return both;
}

function burnFigure(burn, hour) {
  const cost = isUnknown(hour) ? null : burn.cost_usd_per_minute * HOUR;
  const window = format.duration(burn.observed_minutes * 60_000);
  return figure(
    hour.api_value_usd ? (hour.spent_usd ? "Burn rate incl. API value" : "Burn rate, API value") : "Burn rate",
    [values.money(cost), el("span", { class: "per" }, "/h")],
    el("span", { title: `over the last ${window}; ${format.exact(burn.output_tokens_per_minute)} output tokens a minute` }, values.count(burn.tokens_per_minute), " tokens/min"),
  );
}

/** The project and the model with the largest shares, and a link to the breakdown. */
function where(today) {
  const lead = (named, shown) => {
    const [name, totals] = ranked(named).find(([each]) => !NAMELESS.includes(each)) ?? [];
    return name && el("span", { class: "lead" }, shown(name), " ", values.percent(100 * shareOf(totals, today)));
  };
  const bold = (name) => el("b", { class: "name" }, values.plain(name).slice(0, 80));
  const leads = [lead(today.per_project, (name) => bold(lastDirectory(name))), lead(today.per_model, (name) => [swatch(slotOf(name)), bold(shortName(name))])].filter(Boolean);
  return el("a", { class: "where", href: "#/breakdown" }, leads.length > 0 && [el("span", {}, "Mostly"), leads], el("span", { class: "more" }, "Where it went ›"));
}

function mix(today) {
  const total = today.total_tokens;
  const hits = today.cache_hit_pct;
  return el(
    "div",
    { class: "mix" },
    el(
      "p",
      { class: "mix-head" },
      el("span", {}, el("b", {}, values.count(total)), " tokens"),
      el("span", {}, "cache hit rate ", el("b", {}, values.percent(hits))),
    ),
    el(
      "div",
      { class: "mix-bar", "aria-hidden": "true" },
      total ? BUCKETS.map(([bucket, , kind]) => el("span", { class: `bucket ${kind}`, "--share": today[bucket] / total })) : null,
    ),
    el(
      "ul",
      { class: "mix-legend", "aria-label": "Tokens by bucket" },
      BUCKETS.map(([bucket, label, kind]) => el("li", {}, el("span", { class: `key ${kind}`, "aria-hidden": "true" }), `${label} `, values.count(today[bucket]))),
    ),
  );
}

function coverageItems(coverage) {
  const known = COVERAGE.filter(([bucket]) => coverage[bucket]);
  if (!known.length) return el("li", { class: "plain" }, "No responses yet");
  return known.map(([bucket, label, kind]) => el("li", { class: kind }, values.count(coverage[bucket]), ` ${label}`));
}
