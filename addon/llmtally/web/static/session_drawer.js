/**
 * One session: its cost by agent, how the context grew and what each turn cost, and its calls in order.
 */

import { Agents } from "./agents.js";
import { cachedShare, callLink, chip, contextTokens, MONEY_COLUMN, moneyCell, outcomeCell, titleMoney } from "./calls.js";
import { el, morph, put, swatch } from "./dom.js";
import * as format from "./format.js";
import { keyOf, modelOf, slotOf } from "./models.js";
import { ask } from "./server.js";
import { Table } from "./table.js";
import { Turns, steps } from "./turns.js";
import * as values from "./values.js";

/** Rows in the table of calls, the newest ones. */
const ROWS = 200;

const COLUMNS = [
  { title: "Time" },
  { title: "Agent", kind: "from c1" },
  { title: "Model", kind: "model c2" },
  { title: "Context", kind: "n", hint: "All input tokens" },
  { title: "Growth", kind: "n c2", hint: "Compared with the previous call of the same agent" },
  { title: "Cached", kind: "n c1" },
  { title: "Output", kind: "n c1" },
  MONEY_COLUMN,
  { title: "Outcome", kind: "outcome" },
];

/** What the drawer shows of a session; `seen` receives its calls, by id. */
export async function sessionPage([id, account], seen) {
  const page = new SessionPage(id, account, seen);
  await page.refresh();
  return page;
}

class SessionPage {
  constructor(id, account, seen) {
    this.where = { id, account };
    this.seen = seen;
    this.facts = el("dl", { class: "facts" });
    this.agents = new Agents();
    this.turns = new Turns();
    this.note = el("p", { class: "hint" });
    this.table = new Table("The session's calls, oldest first", COLUMNS, {
      key: ({ call }) => call.request_id,
      version: ({ growth, lost }) => `${growth} ${lost?.tokens}`,
      row: cells,
    });
    this.table.element.className = "session-calls";
    this.aside = el("span", { class: "name" });
    this.content = [
      this.facts,
      this.agents.shares,
      this.turns.element,
      this.agents.element,
      el("h3", {}, "Calls in order"),
      this.note,
      el("div", { class: "scroll" }, this.table.element),
    ];
  }

  /** Load the session again and update in place: what is being looked at or clicked on stays where it is. */
  async refresh() {
    const { id, account } = this.where;
    const session = await ask(`api/sessions/${encodeURIComponent(id)}`, { account });
    this.seen.clear();
    session.calls.forEach((call) => this.seen.set(call.request_id, call));
    this.title = values.plain(session.label).slice(0, 120);
    put(this.aside, [session.client, session.project].filter(Boolean).map(values.plain).join(" · "));
    morph(this.facts, facts(session));
    const all = steps(session);
    this.agents.draw(session);
    this.turns.draw(session, all);
    this.drawCalls(session, all);
  }

  drawCalls({ calls, calls_complete: complete }, all) {
    const left = all.length - ROWS;
    const notes = [left > 0 && `${format.exact(left)} earlier calls are not shown.`, !complete && "Older calls of this session are in the journal."];
    const text = notes.filter(Boolean).join(" ");
    this.note.hidden = !text;
    this.note.textContent = text;
    this.table.draw(all.slice(-ROWS));
    titleMoney(this.table.element, calls);
  }
}

function facts(session) {
  const fact = (label, ...content) => el("div", {}, el("dt", {}, label), el("dd", {}, content));
  const rough = session.unpriced > 0 || session.uncounted > 0;
  return [
    session.spent_usd || !session.api_value_usd ? fact("Spent", session.cost_usd === null ? values.unknown() : values.money(session.spent_usd, rough)) : null,
    session.api_value_usd ? fact("API value", values.money(session.api_value_usd, rough)) : null,
    fact("Tokens", values.count(session.total_tokens)),
    fact("Cache hit rate", values.percent(session.cache_hit_pct)),
    fact("Calls", values.count(session.agents[0].total.calls), session.errors ? el("span", { class: "bad" }, ` ${session.errors} failed`) : null),
    fact("Share of the 5-hour window", values.percent(session.window_share_pct)),
    fact("Started", values.liveTime(session.started_at, "ago")),
    fact("Last active", values.liveTime(session.updated_at, "ago")),
    el("div", { class: "wide" }, el("dt", {}, "Session"), el("dd", {}, el("code", {}, values.name(session.session_id)), session.source ? ` identified by ${session.source.replaceAll("_", " ")}` : "")),
  ];
}

function cells({ call, who, context, growth, lost }) {
  return [
    callLink(call),
    values.name(who, 60),
    [swatch(slotOf(keyOf(call))), values.name(modelOf(call))],
    values.count(context),
    growth === null ? null : el("span", { class: growth < 0 ? "shrunk" : "" }, growth > 0 ? "+" : "", values.count(growth)),
    values.percent(cachedShare(call)),
    values.count(call.output_tokens, Boolean(call.estimated)),
    moneyCell(call),
    el("span", { class: "chips" }, outcomeCell(call), lost && chip(lost.cause ? `cache lost: ${lost.cause}` : "cache lost", "warn", lost.text)),
  ];
}
