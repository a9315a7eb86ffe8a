/**
 * The table of calls as they happen, newest first, a page at a time.
 */

import { el, put, spoken, swatch } from "./dom.js";
import * as format from "./format.js";
import { askedOf, keyOf, modelOf, shortName, slotOf } from "./models.js";
import { ask } from "./server.js";
import { lastDirectory } from "./shares.js";
import { Table } from "./table.js";
import * as values from "./values.js";

/** Rows in the table, and records in memory: more than a person reads at once, few enough to lay out again while calls pour in. */
const PAGE = 50;
const CHOICES = 200;
/** The account of calls without a credential. */
const NOBODY = "unknown";

/** The column title names the kind of all amounts; if both kinds occur, each API value is labelled. */
export const MONEY_COLUMN = { title: "Cost", kind: "n money", hint: "API value: what a subscription's call would have cost at API prices; it is not billed" };

const COLUMNS = [
  { title: "Time" },
  { title: "Model", kind: "model" },
  { title: "From", kind: "from c3", hint: "Client and project or session" },
  { title: "Input", kind: "n c2", hint: "All input tokens, cached or not" },
  { title: "Cached", kind: "n c4", hint: "Share of the input that was read from a cache" },
  { title: "Output", kind: "n c1" },
  { title: "Took", kind: "n c5" },
  MONEY_COLUMN,
  { title: "Outcome", kind: "outcome" },
];

export const OUTCOMES = {
  complete: ["complete", "plain"],
  incomplete: ["cut short", "plain"],
  client_aborted: ["aborted", "warn"],
  upstream_aborted: ["disconnected", "warn"],
  error: ["error", "bad"],
};

const COVERAGE = { unpriced: ["unpriced", "warn"], unparsed: ["unparsed", "bad"], no_usage: ["no usage", "plain"] };

export class Calls {
  /** `changed` is called when there is something to be drawn; `failed` gets the error of a failed request. */
  constructor(changed, failed) {
    this.changed = changed;
    this.failed = failed;
    this.records = [];
    this.filters = {};
    this.account = undefined;
    this.isNewest = true;
    this.waiting = 0;
    this.asked = 0;
    /** Id of the last record, after which the next page begins; null if there is none. */
    this.oldest = null;
    this.table = new Table("Calls, newest first", COLUMNS, { key: (record) => record.request_id, version: (record) => record, row: cells });
    const button = (text, onclick) => el("button", { class: "quiet", type: "button", onclick, hidden: true }, text);
    this.newest = button("Newest", () => this.load());
    this.older = button("Older", () => this.load(this.oldest));
    document.getElementById("calls-footer").append(this.newest, this.older);
    this.drawFilters({});
  }

  /** Load the newest page, or the one after a record. */
  async load(before) {
    const turn = ++this.asked;
    let answer;
    try {
      answer = await ask("api/calls", { limit: PAGE, before, account: this.account, ...this.filters });
    } catch (problem) {
      this.failed(problem);
      return;
    }
    if (turn !== this.asked) return;
    const matching = answer.calls.filter((record) => this.matches(record));
    this.records = merged(before ? [] : this.fresh(matching), matching);
    this.oldest = answer.calls.length < PAGE ? null : answer.calls.at(-1).request_id;
    this.isNewest = !before;
    this.waiting = 0;
    this.changed();
    if (before) document.getElementById("calls-body").scrollTop = 0;
  }

  /** Records that were pushed while the page was loading. */
  fresh(page) {
    const known = new Set(page.map((record) => record.request_id));
    const newest = page[0]?.ended ?? "";
    return this.isNewest ? this.records.filter((record) => !known.has(record.request_id) && record.ended >= newest && this.matches(record)) : [];
  }

  /** Add a new call. The rows move only if the newest page is shown. */
  add(record) {
    if (!this.matches(record)) return;
    if (!this.isNewest) {
      this.waiting += 1;
      return;
    }
    this.records = merged([record], this.records);
    if (this.records.length === PAGE) this.oldest = this.records.at(-1).request_id;
  }

  matches(record) {
    const { model, client, session, outcome, coverage, project, request_class: work } = this.filters;
    return (
      (!model || record.model === model || record.request_model === model) &&
      (!client || record.client === client) &&
      (!session || record.session === session) &&
      (!outcome || record.outcome === outcome) &&
      (!coverage || record.coverage === coverage) &&
      (!project || record.project === project) &&
      (!work || record.request_class === work) &&
      (!this.account || (record.account ?? NOBODY) === this.account)
    );
  }

  find(id) {
    return this.records.find((record) => record.request_id === id);
  }

  draw() {
    const host = document.getElementById("calls-body");
    if (this.records.length) {
      this.table.draw(this.records);
      titleMoney(this.table.element, this.records);
      if (this.table.element.parentElement !== host) put(host, this.table.element);
    } else {
      const isFiltered = Object.keys(this.filters).length > 0;
      put(host, el("p", { class: "hint" }, isFiltered ? "No calls match this filter." : "No calls yet."));
    }
    this.drawFooter();
  }

  drawFooter() {
    this.newest.hidden = this.isNewest;
    this.older.hidden = !this.oldest;
    const text = this.waiting ? `Newest (${format.compact(this.waiting)} new)` : "Newest";
    if (this.newest.textContent !== text) this.newest.textContent = text;
    document.getElementById("calls-footer").hidden = this.newest.hidden && this.older.hidden;
  }

  /** Draw the filters, which offer the values that were seen. */
  drawFilters({ usage, forced = false }) {
    const choices = usage ? this.choices(usage) : { model: [], client: [], session: [], outcome: outcomes() };
    const signature = JSON.stringify(choices);
    if (signature === this.signature && !forced) return;
    this.signature = signature;
    const form = document.getElementById("filters");
    if (form.contains(document.activeElement) && !forced) return;
    put(form, Object.entries(choices).map(([name, options]) => this.select(name, options)), this.clearButton());
  }

  choices(usage) {
    const models = [...Object.keys(usage.week.per_model).map(shortName), ...this.records.map(modelOf)];
    const clients = [...Object.keys(usage.week.per_client), ...this.records.map((record) => record.client)];
    const sessions = [
      ...usage.top_sessions.map((row) => [row.session_id, `${row.label} · ${row.session_id.slice(0, 8)}`]),
      ...this.records.filter((record) => record.session).map((record) => [record.session, sessionName(record)]),
    ];
    const pair = (text) => [text, text];
    return {
      model: named(models.map(pair), this.filters.model),
      client: named(clients.map(pair), this.filters.client),
      session: named(sessions, this.filters.session),
      outcome: outcomes(),
      ...this.unoffered(),
    };
  }

  /** Filters that are set elsewhere and can only be cleared here. */
  unoffered() {
    const { project, request_class: work } = this.filters;
    return { ...(project && { project: [[project, lastDirectory(project)]] }), ...(work && { request_class: [[work, work]] }) };
  }

  select(name, options) {
    const chosen = name === "outcome" && this.filters.coverage ? `coverage:${this.filters.coverage}` : (this.filters[name] ?? "");
    const word = name === "request_class" ? "kind of work" : name;
    const all = el("option", { value: "" }, `All ${word.replace(/^\w+/, "$&s")}`);
    return el(
      "select",
      { name, "aria-label": word, class: chosen ? "on" : "", onchange: (event) => this.choose(name, event.target.value) },
      all,
      options.map(([value, text]) => el("option", { value, selected: value === chosen }, values.plain(text).slice(0, 60))),
    );
  }

  clearButton() {
    if (!Object.keys(this.filters).length) return null;
    const clear = () => {
      this.filters = {};
      this.refilter();
      document.querySelector("#filters select").focus();
    };
    return el("button", { class: "quiet", type: "button", onclick: clear }, "Clear");
  }

  choose(name, value) {
    const next = { ...this.filters };
    if (name === "outcome") delete next.coverage;
    delete next[name];
    if (value.startsWith("coverage:")) next.coverage = value.slice("coverage:".length);
    else if (value) next[name] = value;
    this.filters = next;
    this.refilter();
    (document.querySelector(`#filters select[name="${name}"]`) ?? document.querySelector("#filters select")).focus();
  }

  /** Show only the calls in which one field has this value. */
  only(name, value) {
    this.filters = {};
    this.choose(name, value);
  }

  refilter() {
    this.records = [];
    this.drawFilters({ usage: this.usage, forced: true });
    this.load();
  }

  update(usage) {
    this.usage = usage;
    this.drawFilters({ usage });
  }
}

function outcomes() {
  return [...Object.entries(OUTCOMES).map(([value, [text]]) => [value, text]), ["coverage:unpriced", "unpriced"], ["coverage:unparsed", "unparsed"]];
}

/** Each value once, a bounded number of them, the chosen one always included. */
function named(pairs, chosen) {
  const all = new Map(pairs.filter(([value]) => value && value !== "unknown" && value !== "other"));
  const first = [...all].slice(0, CHOICES);
  return chosen && !first.some(([value]) => value === chosen) ? [[chosen, all.get(chosen) ?? chosen], ...first] : first;
}

/** Merge two lists of records, newest first, each record once. */
function merged(fresh, records) {
  const known = new Set(fresh.map((record) => record.request_id));
  return [...fresh, ...records.filter((record) => !known.has(record.request_id))].slice(0, PAGE);
}

/** Name a session as the sessions table does, with the beginning of its id. */
export function sessionName(record) {
  const name = (record.project && lastDirectory(record.project)) || record.client;
  const id = record.session?.slice(0, 8);
  return [name, id].filter(Boolean).join(" · ");
}

export function contextTokens(record) {
  const known = [record.input_tokens, record.cache_read_tokens, record.cache_write_tokens].filter((n) => n !== undefined && n !== null);
  return known.length ? known.reduce((sum, n) => sum + n, 0) : null;
}

export function cachedShare(record) {
  const context = contextTokens(record);
  return context ? (100 * (record.cache_read_tokens ?? 0)) / context : null;
}

export function isRough(record) {
  return Boolean(record.cost_approximate || record.estimated);
}

/** Title the money column of a table of calls: billed calls are "Spent", a subscription's are "API value". */
export function titleMoney(table, records) {
  const priced = records.filter((record) => record.cost_usd !== null);
  const worth = priced.filter((record) => record.billing === "subscription").length;
  const isMixed = worth > 0 && worth < priced.length;
  table.classList.toggle("mixed", isMixed);
  table.querySelector("th.money").textContent = isMixed ? "Cost" : worth ? "API value" : "Spent";
}

export function moneyCell(record) {
  if (record.outcome === "error" && record.cost_usd === null) return null;
  const amount = values.fineMoney(record.cost_usd, isRough(record));
  return record.billing === "subscription" ? el("span", { class: "worth" }, el("small", {}, "API value "), amount) : amount;
}

function cells(record) {
  const from = [record.client, record.project && lastDirectory(record.project)].filter(Boolean).join(" · ") || record.session || record.host;
  return [
    callLink(record),
    modelCell(record),
    values.name(from),
    values.count(contextTokens(record)),
    values.percent(cachedShare(record)),
    values.count(record.output_tokens, Boolean(record.estimated)),
    values.duration(record.duration_ms),
    moneyCell(record),
    outcomeCell(record),
  ];
}

/** The model that answered, and the requested one if it was another. */
function modelCell(record) {
  const asked = askedOf(record);
  const model = [swatch(slotOf(keyOf(record))), values.name(modelOf(record))];
  return asked ? el("span", { class: "two" }, el("span", {}, model), chip(`requested ${asked}`, "plain", `${asked} was requested; the provider served ${record.model}`)) : model;
}

/** When a call ended, as a link that opens it. */
export function callLink(record) {
  return el("a", { href: callHash(record), "data-key": record.request_id }, values.clock(record.ended));
}

export function callHash(record) {
  return `#/call/${encodeURIComponent(record.request_id)}`;
}

/** How a call ended; in a table, only what is out of the ordinary is shown. */
export function outcomeCell(record, isAlone = false) {
  const marks = [];
  const [text, kind] = OUTCOMES[record.outcome] ?? [record.outcome, "plain"];
  if (record.outcome === "complete") marks.push(isAlone ? text : spoken(text));
  else marks.push(chip(record.outcome === "error" && record.status >= 400 ? `${text} ${record.status}` : text, kind, record.error && `${record.error.type}: ${record.error.message}`));
  if (COVERAGE[record.coverage]) marks.push(chip(...COVERAGE[record.coverage]));
  if (record.retry) marks.push(chip(`retry ${record.retry}`, "plain"));
  if (record.request_class === "warmup") marks.push(chip("warm-up", "plain", "Not billed, not counted"));
  return el("span", { class: "chips" }, marks);
}

export function chip(text, kind, hint) {
  return el("span", { class: `chip ${kind}`, title: hint ? values.plain(hint).slice(0, 300) : null }, values.plain(text).slice(0, 40));
}
