/**
 * One call: how its cost adds up, and its whole record.
 */

import { contextTokens, isRough, outcomeCell } from "./calls.js";
import { el, swatch } from "./dom.js";
import * as format from "./format.js";
import { askedOf, keyOf, modelOf, slotOf } from "./models.js";
import { sessionHash } from "./sessions.js";
import { snippet } from "./snippet.js";
import { plainTable } from "./table.js";
import * as values from "./values.js";

const MILLION = 1e6;
const THOUSAND = 1e3;

const BUCKETS = {
  input_tokens: "Input",
  cache_read_tokens: "Cache read",
  cache_write_tokens: "Cache write",
  output_tokens: "Output",
};

/** Subset, the bucket it is part of, and its name. Reasoning is shown even if it has no separate rate. */
const SUBSETS = [
  ["cache_write_30m_tokens", "cache_write_tokens", "Cache write, 30 minutes"],
  ["cache_write_1h_tokens", "cache_write_tokens", "Cache write, 1 hour"],
  ["cache_write_12h_tokens", "cache_write_tokens", "Cache write, 12 hours"],
  ["reasoning_tokens", "output_tokens", "Reasoning"],
  ["input_audio_tokens", "input_tokens", "Audio input"],
  ["cache_read_audio_tokens", "cache_read_tokens", "Audio from cache"],
  ["output_audio_tokens", "output_tokens", "Audio output"],
  ["input_image_tokens", "input_tokens", "Image input"],
  ["output_image_tokens", "output_tokens", "Image output"],
];

const SOURCES = {
  provider: "stated by the provider",
  override: "from your price file",
  overlay: "list price, corrected",
  prices: "list price",
  local: "local model, nothing charged",
};

/** What the drawer shows of a call. `cost`: its price today with the rates, or null if that is not known. */
export function callPage(record, cost) {
  return {
    title: values.plain(modelOf(record)).slice(0, 120),
    aside: [swatch(slotOf(keyOf(record))), ` ${values.plain(record.provider)} · ${format.exactTime(record.timestamp)}`],
    content: [
      facts(record),
      record.error ? el("p", { class: "notice bad" }, el("b", {}, values.plain(record.error.type).slice(0, 120)), " ", values.plain(record.error.message).slice(0, 400)) : null,
      el("h3", {}, record.billing === "subscription" ? "How the API value adds up" : "How the cost adds up"),
      bill(record, cost),
      record.parts ? [el("h3", {}, "Billed in parts"), parts(record)] : null,
      record.limits ? [el("h3", {}, "Limits reported with the response"), limits(record)] : null,
      el("h3", {}, "Record"),
      snippet(pretty(record)),
    ],
  };
}

function facts(record) {
  const fact = (label, ...content) => el("div", {}, el("dt", {}, label), el("dd", {}, content));
  const session = record.session && el("a", { href: sessionHash(record.session, record.account) }, values.plain(record.session).slice(0, 8));
  const asked = askedOf(record);
  return el(
    "dl",
    { class: "facts" },
    asked && fact("Requested model", values.name(asked)),
    fact(record.billing === "subscription" ? "API value" : "Cost", values.fineMoney(record.cost_usd, isRough(record))),
    fact("Context", values.count(contextTokens(record)), " tokens"),
    fact("Output", values.count(record.output_tokens, Boolean(record.estimated)), " tokens"),
    fact("Time to first token", values.duration(record.ttft_ms)),
    fact("Duration", values.duration(record.duration_ms)),
    fact("Outcome", outcomeCell(record, true), record.status && record.outcome !== "error" ? ` · HTTP ${record.status}` : ""),
    fact("Client", values.name([record.client, record.client_version].filter(Boolean).join(" "))),
    fact("Session", session || values.unknown()),
  );
}

function billColumns(record) {
  return [
    { title: "Bucket" },
    { title: "Tokens", kind: "n" },
    { title: "Rate", kind: "n", hint: "USD per million tokens, or per thousand tool calls" },
    { title: record.billing === "subscription" ? "API value" : "Cost", kind: "n" },
  ];
}

/** Buckets times rates. Without rates, only the buckets and the sum. */
function bill(record, cost) {
  const rates = cost?.rates ?? {};
  const items = [...tokenItems(record, rates), ...toolItems(record, rates)];
  const rows = items.map(({ name, amount, rate, per, note }) => [
    [name, note ? el("small", {}, ` ${note}`) : null],
    values.exactCount(amount),
    rate === undefined ? null : el("span", {}, values.money(rate), el("small", {}, per === MILLION ? " /M" : " /k")),
    rate === undefined ? null : values.finestMoney((amount * rate) / per),
  ]);
  const added = items.reduce((sum, { amount, rate, per }) => sum + (rate === undefined ? 0 : ((amount ?? 0) * rate) / per), 0);
  const rest = isKnown(record.cost_usd) ? record.cost_usd - added : 0;
  const hasRates = Object.keys(rates).length > 0;
  if (hasRates && Math.abs(rest) > EXACT * (1 + added)) {
    rows.push([record.parts ? "Parts with their own rates" : DIFFERENCE[record.cost_source] ?? "Priced differently at the time", null, null, signed(rest)]);
  }
  rows.push([el("b", {}, "Total"), values.exactCount(record.total_tokens, Boolean(record.estimated)), null, el("b", {}, values.finestMoney(record.cost_usd, isRough(record)))]);
  return [plainTable("Buckets, rates and cost", billColumns(record), rows, "bill"), el("p", { class: "hint" }, billNotes(record, hasRates).join(" "))];
}

const isKnown = (value) => value !== null && value !== undefined;

/** Relative difference below which two sums are equal: the last bits of floating point. */
const EXACT = 1e-9;

const NO_COST = {
  unpriced: "No price is known for this model: the cost is unknown, not zero.",
  error: "The provider refused the call and reported no usage.",
  unparsed: "The response could not be parsed: its cost is unknown, not zero.",
  no_usage: "The response reported no usage: its cost is unknown, not zero.",
};

const DIFFERENCE = { provider: "Difference to the cost that the provider states" };

function signed(usd) {
  return el("span", {}, usd < 0 ? "−" : "+", values.finestMoney(Math.abs(usd)));
}

function billNotes(record, hasRates) {
  const notes = [];
  const known = isKnown(record.cost_usd);
  if (!known) notes.push(NO_COST[record.coverage] ?? "The cost is unknown.");
  else notes.push(`Price: ${SOURCES[record.cost_source] ?? "source unknown"}.`);
  if (known && !hasRates && record.cost_source !== "local") notes.push("The rates are not known.");
  if (record.billing === "subscription") notes.push("A subscription covers this call: the API would have charged this amount, but it is not billed.");
  if (record.estimated) notes.push(`The stream was cut off, so the output is an estimate; the provider had reported ${format.exact(record.reported_output_tokens)}.`);
  if (record.cost_approximate) notes.push("The price is known to be approximate here.");
  if (isKnown(record.list_cost_usd)) notes.push(`At list prices: ${format.exactMoney(record.list_cost_usd)}.`);
  return notes;
}

/** Disjoint token counts: a subset with a separate rate is subtracted from its bucket. */
function tokenItems(record, rates) {
  const counts = Object.fromEntries(Object.keys(BUCKETS).map((bucket) => [bucket, record[bucket]]));
  const items = [];
  for (const [subset, bucket, name] of SUBSETS) {
    const wanted = record[subset];
    if (!wanted) continue;
    if (rates[subset] === undefined) {
      items.push({ of: bucket, within: `${format.compact(wanted)} ${name.toLowerCase()}` });
      continue;
    }
    const amount = Math.min(wanted, counts[bucket] ?? 0);
    counts[bucket] -= amount;
    items.push({ of: bucket, name, amount, rate: rates[subset], per: MILLION });
  }
  return Object.entries(BUCKETS).flatMap(([bucket, name]) => {
    const within = items.filter((item) => item.of === bucket && item.within).map((item) => item.within);
    const own = { name, amount: counts[bucket], rate: rates[bucket], per: MILLION, note: within.length ? `including ${within.join(", ")}` : "" };
    const apart = items.filter((item) => item.of === bucket && !item.within);
    const isNothing = !counts[bucket] && (apart.length || counts[bucket] === undefined) && bucket.startsWith("cache");
    return isNothing ? apart : [own, ...apart];
  });
}

const TOOL_RATES = { google_search: "web_search" };

function toolItems(record, rates) {
  const tools = Object.entries(record.server_tools ?? {}).map(([tool, amount]) => ({
    name: `${values.plain(tool).slice(0, 60).replaceAll("_", " ")} calls`,
    amount,
    rate: rates[TOOL_RATES[tool] ?? tool],
    per: THOUSAND,
  }));
  return rates.request === undefined ? tools : [...tools, { name: "Request", amount: 1, rate: rates.request, per: THOUSAND }];
}

function parts(record) {
  const columns = [{ title: "Part" }, { title: "Model", kind: "model" }, { title: "Input", kind: "n" }, { title: "Output", kind: "n" }, { title: "Cost", kind: "n" }];
  const rows = record.parts.map((part) => [values.name(part.kind), values.name(part.model), values.count(contextTokens(part)), values.count(part.output_tokens), values.fineMoney(part.cost_usd)]);
  return el("div", { class: "scroll" }, plainTable("Parts of this call", columns, rows));
}

function limits(record) {
  const columns = [{ title: "Window" }, { title: "Used", kind: "n" }, { title: "Remaining", kind: "n" }, { title: "Of", kind: "n" }, { title: "Reset", kind: "n" }];
  const rows = record.limits.map((limit) => [
    values.name([limit.key, limit.name].filter(Boolean).join(" ")),
    values.percent(limit.utilization),
    values.count(limit.remaining),
    values.count(limit.limit),
    limit.resets_at ? values.clock(new Date(limit.resets_at * 1000).toISOString()) : values.unknown(),
  ]);
  return el("div", { class: "scroll" }, plainTable("Limits reported with this response", columns, rows));
}

/** Indented JSON without control characters: `JSON.stringify` leaves direction marks in. */
function pretty(record) {
  return JSON.stringify(record, null, 2).split("\n").map((line) => values.plain(line)).join("\n");
}
