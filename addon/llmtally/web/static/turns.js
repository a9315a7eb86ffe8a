/**
 * A session turn by turn: how the context of each agent grew, what each turn cost, and where the cache was lost.
 */

import { callHash, contextTokens } from "./calls.js";
import { Chart } from "./chart.js";
import { el, morph, put } from "./dom.js";
import * as format from "./format.js";
import { modelOf } from "./models.js";
import * as values from "./values.js";

/** Bars in a chart: the newest turns. */
const BARS = 200;
/** Tokens: the smallest prompt that providers cache, so fewer do not count as lost. */
const SMALLEST_LOSS = 1024;
/** Share of the cached tokens that may be missing because counts are rounded. */
const ROUNDING = 0.1;
/** Causes named in a sentence. */
const CAUSES = 3;
/** A context smaller than this share of the previous one was compacted, or belongs to another conversation. */
const SAME_CONTEXT = 0.9;

const BUCKETS = [
  ["cache_read_tokens", "cache read", "read"],
  ["cache_write_tokens", "cache write", "write"],
  ["input_tokens", "input", "input"],
];

const MAIN = "";
const ALL = "*";

/**
 * The calls of a session, oldest first, each compared with the previous one of the same agent:
 * `{call, who, context, growth, lost: null or {tokens, cause, text}}`. Each agent has its own context; titles and the like have none.
 */
export function steps({ agents, calls }) {
  const types = agentTypes(agents);
  const last = new Map();
  return calls.map((call) => {
    const context = contextTokens(call);
    const hasContext = context !== null && call.request_class !== "auxiliary" && call.request_class !== "warmup";
    const before = hasContext ? last.get(call.agent) : undefined;
    if (hasContext) last.set(call.agent, call);
    return {
      call,
      who: call.agent ? (types.get(call.agent) ?? call.agent) : (call.request_class ?? "main"),
      context,
      growth: before ? context - contextTokens(before) : null,
      lost: before ? loss(before, call) : null,
    };
  });
}

/** The tokens that the previous call left in the cache and this one did not read, although it continues the same context. */
function loss(before, call) {
  const cached = (before.cache_read_tokens ?? 0) + (before.cache_write_tokens ?? 0);
  if (call.cache_read_tokens === undefined || contextTokens(call) < SAME_CONTEXT * contextTokens(before)) return null;
  const tokens = Math.min(cached, contextTokens(call)) - call.cache_read_tokens;
  if (tokens < Math.max(SMALLEST_LOSS, ROUNDING * cached)) return null;
  const pause = format.duration(Date.parse(call.timestamp) - Date.parse(before.ended));
  const cause = causeOf(call) ?? (modelOf(before) === modelOf(call) ? null : "model changed");
  const because = cause ? `: ${cause}` : "";
  return { tokens, cause, text: `${format.exact(tokens)} cached tokens were sent again after a pause of ${pause}${because}` };
}

/** What changed, as the provider says if the client asked; "could not compare" is not a cause. */
function causeOf({ cache_miss_reason: reason }) {
  return /_(changed|compacted)$/.test(reason ?? "") ? values.plain(reason.replaceAll("_", " ")) : null;
}

/** The types of agents by id: not every call of an agent names its type. */
function agentTypes(tree) {
  return new Map(tree.flatMap((node) => [[node.agent, node.type], ...agentTypes(node.children)]).filter(([agent, type]) => agent && type));
}

export class Turns {
  constructor() {
    this.agent = null;
    this.select = el("select", { "aria-label": "agent", onchange: () => this.choose() });
    this.context = el("div", { class: "chart" });
    this.cost = el("div", { class: "chart" });
    this.contextChart = new Chart(this.context);
    this.costChart = new Chart(this.cost);
    this.caption = el("figcaption");
    this.summary = el("p", { class: "hint" });
    const legend = BUCKETS.map(([, label, kind]) => el("li", {}, el("span", { class: `key ${kind}`, "aria-hidden": "true" }), label));
    const lost = el("li", {}, el("span", { class: "key lost", "aria-hidden": "true" }), "cache lost");
    this.element = el(
      "section",
      {},
      el("div", { class: "bar" }, el("h3", {}, "Turn by turn"), this.select, el("ul", { class: "legend" }, legend, lost)),
      this.summary,
      el("div", { class: "figures two" }, el("figure", {}, el("figcaption", {}, "Context"), this.context), el("figure", {}, this.caption, this.cost)),
    );
  }

  choose() {
    this.agent = this.select.value;
    this.drawTurns();
  }

  draw(session, all) {
    this.session = session;
    this.all = all;
    this.element.hidden = !all.length;
    this.drawSelect();
    this.drawTurns();
  }

  drawSelect() {
    const names = new Map([[ALL, "all agents"], [MAIN, "main agent"]]);
    for (const { call, who } of this.all) if (call.agent) names.set(call.agent, who === call.agent ? who : `${who} ${call.agent.slice(0, 8)}`);
    const hasMain = this.all.some(({ call }) => !call.agent);
    this.agent ??= names.size > 2 && hasMain ? MAIN : ALL;
    this.select.hidden = names.size <= 2;
    const options = [...names];
    if (options.length === this.select.options.length) return;
    put(this.select, options.map(([value, text]) => el("option", { value, selected: value === this.agent }, values.plain(text).slice(0, 60))));
  }

  drawTurns() {
    const turns = this.all.filter(({ call }) => this.agent === ALL || (call.agent ?? MAIN) === this.agent).slice(-BARS);
    const isWorth = !this.session.spent_usd && this.session.api_value_usd;
    this.caption.textContent = isWorth ? "API value" : "Cost";
    this.contextChart.draw(contextPlot(turns));
    this.costChart.draw(costPlot(turns));
    morph(this.summary, summary(turns, this.session));
  }
}

/** A sentence on the most expensive turn and the lost cache: where to look first. */
function summary(turns, session) {
  const priced = turns.filter(({ call }) => call.cost_usd);
  if (!priced.length) return null;
  const most = priced.reduce((top, each) => (each.call.cost_usd > top.call.cost_usd ? each : top));
  const losses = turns.filter(({ lost }) => lost);
  const tokens = losses.reduce((sum, { lost }) => sum + lost.tokens, 0);
  const cost = losses.reduce((sum, { call }) => sum + (call.cost_usd ?? 0), 0);
  const share = session.cost_usd ? ` (${format.percent((100 * most.call.cost_usd) / session.cost_usd)} of the session)` : "";
  return [
    "The most expensive is ",
    el("a", { href: callHash(most.call) }, `turn ${turns.indexOf(most) + 1} at ${format.clock(most.call.ended)}`),
    ", ",
    values.money(most.call.cost_usd),
    `${share}.`,
    losses.length
      ? [` The cache was lost in ${format.exact(losses.length)} turn${losses.length > 1 ? "s" : ""}, which cost `, values.money(cost), ": ", values.count(tokens), " tokens were sent again", causes(losses), "."]
      : null,
  ];
}

/** The known causes, the most frequent first: ` (tools changed ×3, model changed)`. */
function causes(losses) {
  const counts = new Map();
  for (const { lost } of losses) if (lost.cause) counts.set(lost.cause, (counts.get(lost.cause) ?? 0) + 1);
  const named = [...counts].sort(([, one], [, other]) => other - one).slice(0, CAUSES);
  return named.length ? ` (${named.map(([cause, count]) => (count > 1 ? `${cause} ×${count}` : cause)).join(", ")})` : "";
}

function ticks(count) {
  const every = Math.max(1, Math.ceil(count / 8));
  return Array.from({ length: Math.ceil(count / every) }, (_, index) => ({ at: index * every + 0.5, label: String(index * every + 1) }));
}

function plot(turns, what) {
  return {
    points: turns.length,
    ticks: ticks(turns.length),
    open: (index) => (location.hash = callHash(turns[index].call)),
    ...what,
    describe: (index) => ({
      title: `${index + 1}. ${format.clock(turns[index].call.ended)}`,
      rows: [...what.describe(turns[index]), turns[index].lost && { slot: "lost", name: "sent again", amount: format.exact(turns[index].lost.tokens) }].filter(Boolean),
    }),
  };
}

function contextPlot(turns) {
  const last = turns.map(({ context }) => context).filter((size) => size !== null).at(-1);
  return plot(turns, {
    bars: BUCKETS.map(([bucket, , slot]) => ({ slot, values: turns.map(({ call }) => call[bucket] ?? 0) })),
    amount: format.compact,
    label: `Context of each of ${turns.length} calls, ${format.compact(last)} tokens in the last. The numbers are in the table below.`,
    describe: ({ call }) => [
      ...BUCKETS.map(([bucket, name, slot]) => ({ slot, name, amount: format.rounded(call[bucket]) })),
      { name: "output", amount: format.rounded(call.output_tokens) },
    ],
  });
}

function costPlot(turns) {
  const total = turns.reduce((sum, { call }) => sum + (call.cost_usd ?? 0), 0);
  const bars = (slot, isLost) => ({ slot, values: turns.map(({ call, lost }) => (Boolean(lost) === isLost ? (call.cost_usd ?? 0) : 0)) });
  return plot(turns, {
    bars: [bars("cost", false), bars("lost", true)],
    amount: format.money,
    label: `Cost of each of ${turns.length} calls, ${format.money(total)} together. The numbers are in the table below.`,
    describe: ({ call }) => [{ name: values.plain(modelOf(call)).slice(0, 60), amount: format.fineMoney(call.cost_usd) }],
  });
}
