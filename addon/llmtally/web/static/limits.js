/**
 * How full each limit is, how full it will be at its reset, and whether it is reached before.
 */

import { el, morph } from "./dom.js";
import * as format from "./format.js";
import * as values from "./values.js";

const SHOWN = 4;
/** Percent from which a limit is shown as a warning, as in the tracker. */
export const WARNING_PCT = 80;
/** Characters of a name, which comes off the wire. */
const NAME = 80;

const SOURCES = {
  provider_native: "reported",
  provider_api_rate_limit: "rate-limit headers",
  local_estimate: "estimated",
};

const CONFIGURED = [
  ["output_tokens", "Output tokens", "total_output_tokens", "output_token_limit", "output_token_limit_pct", values.count],
  ["total_tokens", "Tokens", "total_tokens", "total_token_limit", "total_token_limit_pct", values.count],
  ["tokens", "Tokens", "total_tokens", "token_limit", "token_pct", values.count],
  ["messages", "Calls", "total_calls", "message_limit", "message_pct", values.count],
  ["cost", "Cost", "total_cost_usd", "cost_limit_usd", "cost_pct", values.money],
];

const UNITS = { m: "minute", h: "hour", d: "day" };

/** `5h` as `5-hour window`, `7d_sonnet` as `7-day window, sonnet`. The provider follows, as every plan has a 5-hour window. */
export function windowName({ key, name, provider }) {
  const title = windowTitle(key, name);
  return provider ? `${title} (${values.plain(provider).slice(0, NAME)})` : title;
}

function windowTitle(key, name) {
  const length = /^(\d+)([mhd])(?:_(.+))?$/.exec(key);
  const base = length ? `${length[1]}-${UNITS[length[2]]} window` : sentence(key);
  const detail = name || length?.[3]?.replaceAll("_", " ");
  return values.plain(detail ? `${base}, ${detail}` : base).slice(0, NAME);
}

function sentence(key) {
  const text = key.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

let expanded = false;
let latest = null;

export function drawLimits(usage) {
  latest = usage;
  const rows = [...providerRows(usage, "provider_native"), ...configuredRows(usage), ...rateLimitRows(usage), ...providerRows(usage, "local_estimate")];
  const shown = expanded ? rows : rows.slice(0, SHOWN);
  morph(
    document.getElementById("limits-body"),
    rows.length
      ? el("ul", { class: "windows" }, shown.map(row))
      : el("p", { class: "hint" }, "No limits known yet. Providers report theirs with their responses; set your own with ", el("code", {}, "usage_limits"), "."),
    usage.extra_usage.map(credit),
  );
  drawMore(rows.length);
  morph(document.getElementById("limits-verdict"), verdict(usage));
}

const more = document.getElementById("limits-more");
more.addEventListener("click", () => {
  expanded = !expanded;
  drawLimits(latest);
});

function drawMore(count) {
  more.hidden = count <= SHOWN;
  more.textContent = expanded ? "Show fewer" : `Show all ${count}`;
  more.setAttribute("aria-expanded", String(expanded));
}

/** Sum the limits up in a sentence. */
function verdict(usage) {
  const { time_to_limit_ms: ms, safe } = usage.predictions;
  if (ms === 0) return el("span", { class: "bad" }, `${nextName(usage)}: limit reached`);
  if (safe === false) return el("span", { class: "bad" }, `${nextName(usage)} will be full in ${format.wait(ms)}, before its reset`);
  if (safe === true) return el("span", { class: "fine" }, "At this pace no limit is reached");
  return null;
}

/** Name the limit that is reached first. */
function nextName({ predictions: { limit_kind: kind, time_to_limit_ms: ms }, windows }) {
  const configured = CONFIGURED.find(([name]) => name === kind);
  if (configured) return `Your ${configured[1].toLowerCase()} limit`;
  return windowName(windows.find(({ prediction }) => prediction.limit_kind === kind && prediction.time_to_limit_ms === ms) ?? { key: kind });
}

function providerRows(usage, source) {
  return usage.windows.filter((window) => window.source === source).map((window) => ofWindow(window, usage));
}

/** Rate limits per model, fullest first: they matter when they are nearly used up. */
function rateLimitRows(usage) {
  return providerRows(usage, "provider_api_rate_limit").sort((one, other) => (other.used ?? 0) - (one.used ?? 0));
}

function ofWindow(window, usage) {
  const used = window.utilization ?? (window.limit ? 100 * (1 - (window.remaining ?? window.limit) / window.limit) : null);
  const several = usage.accounts.length > 1;
  return {
    name: windowTitle(window.key, window.name),
    details: [window.provider, several && accountKey(window.account_key)],
    source: `${SOURCES[window.source]}, ${window.confidence} confidence`,
    used,
    projected: window.projected_utilization,
    resetsAt: window.resets_at,
    prediction: window.prediction,
    status: window.status,
    seen: window.calls ? [values.count(window.total_tokens), " tokens, ", values.money(window.cost_usd), " seen"] : null,
  };
}

export function accountName(key) {
  return key ? `account ${accountKey(key)}` : "no account";
}

function accountKey(key) {
  return key ? values.plain(key).slice(0, 6) : "no account";
}

function configuredRows(usage) {
  const { current, predictions, window } = usage;
  return CONFIGURED.filter(([, , , limit]) => isConfigured(limit, current)).map(([kind, name, used, limit, pct, shown]) => {
    const prediction = predictions.limits.find((each) => each.limit_kind === kind) ?? {};
    return {
      name,
      details: ["your limit, 5-hour window"],
      source: null,
      used: current[pct],
      projected: projected(current[pct], prediction.time_to_limit_ms, window.reset_in_ms),
      resetsAt: window.resets_at,
      prediction,
      seen: [shown(current[used]), " of ", shown(current[limit])],
    };
  });
}

/** Whether a limit was set. The untyped one repeats a typed one if it was not. */
function isConfigured(limit, current) {
  const repeats = limit === "token_limit" && [current.output_token_limit, current.total_token_limit].includes(current[limit]);
  return Boolean(current[limit]) && !repeats;
}

/** Predict the percentage at the reset for a limit that fills evenly. */
function projected(used, msToLimit, msToReset) {
  if (!msToLimit || msToReset === null || used === null) return null;
  return used + ((100 - used) * msToReset) / msToLimit;
}

function severity({ used, prediction, status }) {
  if (used >= 100 || status === "rejected" || prediction.time_to_limit_ms === 0) return "bad";
  if (used > WARNING_PCT || prediction.safe === false) return "warn";
  return "fine";
}

function row(limit) {
  const { name, details, used, projected: ahead, resetsAt } = limit;
  const isKnown = used !== null && used !== undefined;
  return el(
    "li",
    { class: `window ${severity(limit)}` },
    el("div", { class: "window-name" }, el("b", { title: name }, name), el("small", {}, details.filter(Boolean).map((detail) => values.plain(detail).slice(0, NAME)).join(" · "))),
    isKnown ? gauge(limit) : el("small", { class: "window-seen" }, limit.status ? [values.plain(limit.status), " · "] : null, seenText(limit)),
    el("p", { class: "window-used" }, isKnown ? values.percent(used) : null),
    el(
      "p",
      { class: "window-ahead" },
      ahead !== null && ahead !== undefined && isKnown
        ? el("span", { title: `${format.exact(ahead)} percent at the reset, at this pace` }, `→ ${format.percent(Math.min(ahead, 999))}`)
        : null,
    ),
    el("div", { class: "window-reset" }, resetText(resetsAt), el("small", {}, fate(limit))),
  );
}

function resetText(resetsAt) {
  if (!resetsAt) return el("span", {}, "reset unknown");
  return el("span", {}, "resets in ", values.liveTime(resetsAt, "in"));
}

function fate({ prediction, resetsAt, used, status }) {
  const { time_to_limit_ms: ms, safe } = prediction;
  if (ms === 0 || used >= 100 || status === "rejected") return "limit reached";
  if (safe === false) return `full in ${format.wait(ms)}`;
  const at = resetsAt ? format.soon(resetsAt) : "";
  return safe === true && resetsAt ? `${at}, resets first` : at;
}

function seenText({ seen, source }) {
  return [seen, seen && source ? " · " : null, source];
}

function gauge(limit) {
  const { name, used, projected: ahead } = limit;
  const full = Math.min(100, used);
  const point = ahead === null || ahead === undefined ? null : Math.min(100, ahead);
  const said = `${format.percent(used)} used${point === null ? "" : `, ${format.percent(ahead)} by its reset at this pace`}`;
  return el(
    "div",
    { class: "gauge-cell" },
    el(
      "div",
      {
        class: "gauge",
        role: "meter",
        "aria-label": name,
        "aria-valuemin": 0,
        "aria-valuemax": 100,
        "aria-valuenow": Math.round(full),
        "aria-valuetext": said,
        title: said,
        "--used": `${full}%`,
        "--ahead": `${point ?? full}%`,
      },
      point !== null && point > full && el("span", { class: "gauge-ahead" }),
      el("span", { class: "gauge-used" }),
      point !== null && el("span", { class: `gauge-point${ahead >= 100 ? " over" : ""}` }),
    ),
    el("small", { class: "window-seen", title: limit.source }, seenText(limit)),
  );
}

function credit(window) {
  const state = window.status === "in_use" ? ", paying for calls now" : "";
  const amount = window.utilization !== null ? `${format.percent(window.utilization)} used` : (state ? "on" : (window.status ?? "on"));
  return el("p", { class: "hint" }, `Extra usage beyond the plan: ${values.plain(amount)}${state}`);
}
