/**
 * One session: its agents and what each cost, its calls in order, how the context grew and what each turn cost.
 */

import { cachedShare, chip, contextTokens, MONEY_COLUMN, moneyCell, outcomeCell, titleMoney } from "./calls.js";
import { Chart } from "./chart.js";
import { el, swatch } from "./dom.js";
import * as format from "./format.js";
import { keyOf, modelOf, slotOf } from "./models.js";
import { ask } from "./server.js";
import { plainTable } from "./table.js";
import * as values from "./values.js";

/** Rows of the table of calls: the newest of them. */
const ROWS = 200;
const MAIN = "";
const ALL = "*";

let chosenAgent = { session: null, agent: null };

/** What the sheet shows of a session. `again`: draw it anew; `seen`: takes in its calls, by id. */
export async function sessionPage([id, account], again, seen) {
  const session = await ask(`api/sessions/${encodeURIComponent(id)}`, { account });
  const { calls } = session;
  seen.clear();
  calls.forEach((call) => seen.set(call.request_id, call));
  return {
    title: values.plain(session.label).slice(0, 120),
    aside: [el("span", { class: "name" }, [session.client, session.project].filter(Boolean).map(values.plain).join(" · "))],
    content: [
      summary(session),
      el("h3", {}, "Agents"),
      agents(session.agents),
      calls.length ? turns(session, again) : null,
      el("h3", {}, "Calls in order"),
      callsTable(session),
    ],
  };
}

function summary(session) {
  const fact = (label, ...content) => el("div", {}, el("dt", {}, label), el("dd", {}, content));
  const rough = session.unpriced > 0 || session.uncounted > 0;
  return el(
    "dl",
    { class: "facts" },
    session.spent_usd || !session.api_value_usd ? fact("Spent", session.cost_usd === null ? values.unknown() : values.money(session.spent_usd, rough)) : null,
    session.api_value_usd ? fact("API value", values.money(session.api_value_usd, rough)) : null,
    fact("Tokens", values.count(session.total_tokens)),
    fact("Cache hit rate", values.percent(session.cache_hit_pct)),
    fact("Calls", values.count(session.agents[0].total.calls), session.errors ? el("span", { class: "bad" }, ` ${session.errors} failed`) : null),
    fact("Share of the 5-hour window", values.percent(session.window_share_pct)),
    fact("Began", values.liveTime(session.started_at, "ago")),
    fact("Last active", values.liveTime(session.updated_at, "ago")),
    el("div", { class: "wide" }, el("dt", {}, "Session"), el("dd", {}, el("code", {}, values.name(session.session_id)), session.source ? ` known by ${session.source.replaceAll("_", " ")}` : "")),
  );
}

const AGENT_COLUMNS = [
  { title: "Agent" },
  { title: "Calls", kind: "n c1" },
  { title: "Tokens", kind: "n" },
  { title: "Cache", kind: "n c1", hint: "Cache hit rate" },
  { title: "Own", kind: "n c2", hint: "Its own calls alone" },
  { title: "With its agents", kind: "n" },
];

function agents(tree) {
  const whole = tree[0].total;
  const flat = [];
  const walk = (node, depth) => {
    flat.push({ node, depth });
    node.children.forEach((child) => walk(child, depth + 1));
  };
  tree.forEach((node) => walk(node, 0));
  const rows = flat.map(({ node, depth }) => [
    agentName(node, depth),
    values.count(node.total.calls),
    values.count(node.total.total_tokens),
    values.percent(node.total.cache_hit_pct),
    values.money(node.own.cost_usd),
    el("span", { class: "share", "--share": share(node.total, whole) }, values.money(node.total.cost_usd)),
  ]);
  return el("div", { class: "scroll" }, plainTable("Agents and what they cost", AGENT_COLUMNS, rows, "agents"));
}

function share(part, whole) {
  return whole.cost_usd ? (part.cost_usd ?? 0) / whole.cost_usd : 0;
}

function agentName(node, depth) {
  const name = node.agent === null ? "main" : (node.type ?? node.agent);
  const classes = Object.entries(node.by_class).filter(([kind]) => !["main", "subagent", "unknown"].includes(kind));
  const id = node.agent && node.type ? node.agent.slice(0, 8) : null;
  return el(
    "span",
    { class: "agent", "--depth": depth },
    depth ? el("span", { class: "spoken" }, `level ${depth + 1}: `) : null,
    values.name(name, 60),
    id ? el("small", {}, values.plain(id)) : null,
    classes.map(([kind, totals]) => chip(`${kind} ${format.money(totals.cost_usd)}`, "plain", `${totals.calls} calls`)),
  );
}

const BUCKETS = [
  ["cache_read_tokens", "cache read", "read"],
  ["cache_write_tokens", "cache write", "write"],
  ["input_tokens", "input", "input"],
];

/** Charts of the context and the cost, call by call, of one agent: agents have contexts of their own. */
function turns(session, again) {
  const names = new Map([[ALL, "all agents"], [MAIN, "main agent"]]);
  const types = agentTypes(session.agents);
  for (const { agent: id } of session.calls) if (id) names.set(id, types.has(id) ? `${types.get(id)} ${id.slice(0, 8)}` : id);
  const remembered = chosenAgent.session === session.session_id && names.has(chosenAgent.agent) ? chosenAgent.agent : null;
  const hasMain = session.calls.some((call) => !call.agent);
  const agent = remembered ?? (names.size > 2 && hasMain ? MAIN : ALL);
  const calls = session.calls.filter((call) => agent === ALL || (call.agent ?? MAIN) === agent).slice(-ROWS);
  const choose = (event) => {
    chosenAgent = { session: session.session_id, agent: event.target.value };
    again();
  };
  const context = el("div", { class: "chart" });
  const cost = el("div", { class: "chart" });
  new Chart(context).draw(contextPlot(calls));
  new Chart(cost).draw(costPlot(calls));
  const isWorth = !session.spent_usd && session.api_value_usd;
  return [
    el(
      "div",
      { class: "bar" },
      el("h3", {}, "Turn by turn"),
      names.size > 2 &&
        el("select", { "aria-label": "agent", "data-key": "agent", onchange: choose }, [...names].map(([value, text]) => el("option", { value, selected: value === agent }, values.plain(text).slice(0, 60)))),
      el("ul", { class: "legend" }, BUCKETS.map(([, label, kind]) => el("li", {}, el("span", { class: `key ${kind}`, "aria-hidden": "true" }), label))),
    ),
    el("div", { class: "figures two" }, el("figure", {}, el("figcaption", {}, "Context"), context), el("figure", {}, el("figcaption", {}, isWorth ? "API value" : "Cost"), cost)),
  ];
}

function turnTicks(count) {
  const every = Math.max(1, Math.ceil(count / 8));
  return Array.from({ length: Math.ceil(count / every) }, (_, index) => ({ at: index * every + 0.5, label: String(index * every + 1) }));
}

function contextPlot(calls) {
  const sizes = calls.map(contextTokens);
  const last = sizes.filter((size) => size !== null).at(-1);
  return {
    points: calls.length,
    bars: BUCKETS.map(([bucket, , kind]) => ({ slot: kind, values: calls.map((call) => call[bucket] ?? 0) })),
    ticks: turnTicks(calls.length),
    amount: format.compact,
    label: `Context of each of ${calls.length} calls, ${format.compact(last)} tokens in the last. The numbers stand in the table below.`,
    tell: (index) => ({
      title: `${index + 1}. ${format.clock(calls[index].ended)}`,
      rows: [...BUCKETS.map(([bucket, name, slot]) => ({ slot, name, amount: format.compact(calls[index][bucket]) })), { name: "output", amount: format.compact(calls[index].output_tokens) }],
    }),
  };
}

function costPlot(calls) {
  const total = calls.reduce((sum, call) => sum + (call.cost_usd ?? 0), 0);
  return {
    points: calls.length,
    bars: [{ slot: "cost", values: calls.map((call) => call.cost_usd ?? 0) }],
    ticks: turnTicks(calls.length),
    amount: format.money,
    label: `Cost of each of ${calls.length} calls, ${format.money(total)} together. The numbers stand in the table below.`,
    tell: (index) => ({ title: `${index + 1}. ${format.clock(calls[index].ended)}`, rows: [{ name: values.plain(modelOf(calls[index])).slice(0, 60), amount: format.fineMoney(calls[index].cost_usd) }] }),
  };
}

const CALL_COLUMNS = [
  { title: "Time" },
  { title: "Agent", kind: "c1" },
  { title: "Model", kind: "model c2" },
  { title: "Context", kind: "n", hint: "All input tokens" },
  { title: "Growth", kind: "n c2", hint: "Against the call before of the same agent" },
  { title: "Cached", kind: "n c1" },
  { title: "Output", kind: "n c1" },
  MONEY_COLUMN,
  { title: "Outcome", kind: "outcome" },
];

function callsTable({ agents: tree, calls, calls_complete: complete }) {
  const before = new Map();
  const types = agentTypes(tree);
  const rows = calls.map((call) => {
    const context = contextTokens(call);
    const last = before.get(call.agent);
    if (context !== null && call.request_class !== "auxiliary") before.set(call.agent, context);
    const growth = last === undefined || context === null || call.request_class === "auxiliary" ? null : context - last;
    return callRow(call, context, growth, types.get(call.agent));
  });
  const shown = rows.slice(-ROWS);
  const left = calls.length - shown.length;
  const table = plainTable("The session's calls, oldest first", CALL_COLUMNS, shown, "session-calls");
  titleMoney(table, calls);
  const notes = [left > 0 && `The ${format.exact(left)} calls before these are not shown.`, !complete && "Older calls of this session stand in the journal."];
  return [notes.some(Boolean) ? el("p", { class: "hint" }, notes.filter(Boolean).join(" ")) : null, el("div", { class: "scroll" }, table)];
}

/** The types of agents by their ids; not every call of an agent tells its type. */
function agentTypes(tree) {
  return new Map(tree.flatMap((node) => [[node.agent, node.type], ...agentTypes(node.children)]).filter(([agent, type]) => agent && type));
}

function callRow(call, context, growth, type) {
  const who = call.agent ? (type ?? call.agent) : (call.request_class ?? "main");
  return [
    el("a", { href: `#call/${encodeURIComponent(call.request_id)}`, "data-key": call.request_id }, values.clock(call.ended)),
    values.name(who, 60),
    [swatch(slotOf(keyOf(call))), values.name(modelOf(call))],
    values.count(context),
    growth === null ? null : el("span", { class: growth < 0 ? "shrunk" : "" }, growth > 0 ? "+" : "", values.count(growth)),
    values.percent(cachedShare(call)),
    values.count(call.output_tokens, Boolean(call.estimated)),
    moneyCell(call),
    outcomeCell(call),
  ];
}
