/**
 * The agents of a session: the cost of each kind of work, and the tree of which agent started which.
 */

import { chip } from "./calls.js";
import { el, morph, swatch } from "./dom.js";
import * as format from "./format.js";
import { Table } from "./table.js";
import * as values from "./values.js";

/** Kinds of work that are shown separately, and rows shown at first. */
const KINDS = 7;
const SHOWN = 8;

const COLUMNS = [
  { title: "Agent" },
  { title: "Calls", kind: "n c1" },
  { title: "Tokens", kind: "n" },
  { title: "Cache", kind: "n c1", hint: "Cache hit rate" },
  { title: "Own", kind: "n c2", hint: "Calls of this agent only" },
  { title: "With subagents", kind: "n" },
];

export class Agents {
  constructor() {
    this.isExpanded = false;
    this.table = new Table("Agents and what they cost", COLUMNS, {
      key: ({ node }) => node.agent ?? "",
      version: ({ node, depth, whole }) => `${depth} ${node.updated_at} ${node.total.total_tokens} ${whole.cost_usd}`,
      row: cells,
    });
    this.table.element.className = "agents";
    this.more = el("button", { class: "quiet", type: "button", onclick: () => this.toggle() });
    /** The cost by kind of work. */
    this.shares = el("div", { class: "mix" });
    /** The tree of agents. */
    this.element = el("section", {}, el("h3", {}, "Agents"), el("div", { class: "scroll" }, this.table.element), this.more);
  }

  toggle() {
    this.isExpanded = !this.isExpanded;
    this.draw(this.session);
  }

  draw(session) {
    this.session = session;
    const rows = flat(session.agents);
    this.table.draw(this.isExpanded ? rows : rows.slice(0, SHOWN));
    this.more.hidden = rows.length <= SHOWN;
    this.more.textContent = this.isExpanded ? "Show fewer" : `Show all ${rows.length}`;
    this.more.setAttribute("aria-expanded", String(this.isExpanded));
    this.drawShares(kinds(session.agents[0]), session.agents[0].total);
  }

  drawShares(parts, whole) {
    this.shares.hidden = parts.length < 2 || !whole.cost_usd;
    if (this.shares.hidden) return;
    morph(
      this.shares,
      el("div", { class: "mix-bar", "aria-hidden": "true" }, parts.map(({ cost }, slot) => el("span", { class: `bucket slot-${slot}`, "--share": cost / whole.cost_usd }))),
      el(
        "ul",
        { class: "mix-legend", "aria-label": "Cost by kind of work" },
        parts.map(({ name, agents, cost }, slot) =>
          el("li", {}, swatch(slot), el("span", { class: "name" }, name), agents > 1 && ` ×${format.compact(agents)}`, " ", values.money(cost), cost !== null && el("small", {}, ` ${format.percent((100 * cost) / whole.cost_usd)}`)),
        ),
      ),
    );
  }
}

/** The main agent's work by class, and all agents of a type together: `{name, agents, cost}`, the most expensive first. */
function kinds(root) {
  const parts = new Map();
  const add = (kind, { cost_usd: cost }, agents) => {
    const name = values.plain(kind).replaceAll("_", " ").slice(0, 40);
    const part = parts.get(name) ?? { name, agents: 0, cost: null };
    parts.set(name, { name, agents: part.agents + agents, cost: cost === null ? part.cost : part.cost + cost });
  };
  for (const [kind, totals] of Object.entries(root.by_class)) add(kind === "unknown" ? "main" : kind, totals, 0);
  for (const { node, depth } of flat([root])) if (depth) add(node.kind, node.own, 1);
  const all = [...parts.values()].sort((one, other) => other.cost - one.cost);
  const rest = all.splice(KINDS);
  const sum = (field) => rest.reduce((total, part) => total + part[field], 0);
  return rest.length ? [...all, { name: "other", agents: sum("agents"), cost: sum("cost") }] : all;
}

function flat(tree) {
  const rows = [];
  const walk = (node, depth) => {
    rows.push({ node, depth, whole: tree[0].total });
    node.children.forEach((child) => walk(child, depth + 1));
  };
  tree.forEach((node) => walk(node, 0));
  return rows;
}

function cells({ node, depth, whole }) {
  const share = whole.cost_usd ? (node.total.cost_usd ?? 0) / whole.cost_usd : 0;
  return [
    agentName(node, depth),
    values.count(node.total.calls),
    values.count(node.total.total_tokens),
    values.percent(node.total.cache_hit_pct),
    values.money(node.own.cost_usd),
    el("span", { class: "share", "--share": share }, values.money(node.total.cost_usd)),
  ];
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
    classes.map(([kind, totals]) => chip(`${kind} ${format.money(totals.cost_usd)}`, "plain", format.counted(totals.calls, "call"))),
  );
}
