/**
 * The table of sessions: the most expensive, or the latest, as an active one may not be among the week's most expensive yet.
 */

import { Choice } from "./choice.js";
import { el, put, swatch } from "./dom.js";
import * as format from "./format.js";
import { slotOfName } from "./models.js";
import { ask } from "./server.js";
import { isRough, isUnknown } from "./shares.js";
import { Table } from "./table.js";
import * as values from "./values.js";

export const MONEY_HINT = "API value: what a subscription's calls would have cost at API prices; it is not billed";

const COLUMNS = [
  { title: "Session" },
  { title: "Model", kind: "model c2" },
  { title: "Calls", kind: "n c2" },
  { title: "Tokens", kind: "n c1", hint: "Below: cache hit rate, the share of the input that was read from a cache" },
  { title: "Cost", kind: "n", hint: MONEY_HINT },
  { title: "Active", kind: "n c1" },
];

const RANKS = [
  ["cost", "Most expensive", "most expensive first"],
  ["updated_at", "Latest", "latest first"],
];
const LATEST = 50;
/** Least time between two requests for the latest. */
const ASK_MS = 3_000;

export class Sessions {
  /** `failed` gets the error of a failed request. */
  constructor(failed) {
    this.failed = failed;
    this.host = document.getElementById("sessions-body");
    this.rank = new Choice(document.getElementById("rank"), "rank", RANKS, () => this.choose());
    this.askedAt = 0;
    this.isStale = false;
    this.table = new Table("Sessions of the last 7 days", COLUMNS, {
      key: (row) => `${row.account_key} ${row.session_id}`,
      version: (row) => JSON.stringify([row.updated_at, row.calls, row.cost_usd, row.total_tokens]),
      row: cells,
    });
  }

  draw(usage) {
    this.usage = usage;
    this.isStale = this.rank.value === "updated_at";
    if (!this.isStale) this.show(usage.top_sessions);
    this.tick();
  }

  /** Load the latest if there is news and the last request is long enough ago. */
  tick() {
    if (this.isStale && Date.now() - this.askedAt > ASK_MS) this.loadLatest(this.usage);
  }

  choose() {
    this.askedAt = 0;
    this.host.scrollTop = 0;
    this.draw(this.usage);
  }

  async loadLatest({ account }) {
    this.askedAt = Date.now();
    this.isStale = false;
    try {
      const { sessions } = await ask("api/sessions", { rank: "updated_at", limit: LATEST, account });
      if (this.rank.value === "updated_at" && account === this.usage.account) this.show(sessions);
    } catch (problem) {
      this.failed(problem);
    }
  }

  show(rows) {
    document.getElementById("sessions-aside").textContent = aside(this.usage.sessions.known, rows.length);
    if (!rows.length) {
      put(this.host, el("p", { class: "hint" }, "No call belongs to a known session yet."));
      return;
    }
    this.table.draw(rows);
    if (this.table.element.parentElement !== this.host) put(this.host, this.table.element);
  }
}

function aside(known, shown) {
  return known > shown ? `last 7 days, ${format.compact(shown)} of ${format.compact(known)}` : "last 7 days";
}

function cells(row) {
  const about = values.plain([row.client, row.project].filter(Boolean).join(" · ") || "client unknown");
  return [
    el("span", { class: "two" }, sessionLink(row), el("small", { title: about }, about)),
    [swatch(slotOfName(row.model)), values.name(row.model)],
    values.count(row.calls),
    el("span", { class: "two" }, values.count(row.total_tokens), el("small", {}, values.percent(row.cache_hit_pct), " cached")),
    el("span", { class: "two" }, moneyOf(row)),
    values.liveTime(row.updated_at, "ago"),
  ];
}

/** What was spent; below it, or alone, what a subscription's calls are worth. */
export function moneyOf(totals) {
  const rough = isRough(totals);
  if (isUnknown(totals)) return [values.unknown(), el("small", {}, totals.unpriced ? "unpriced" : "")];
  const worth = totals.api_value_usd && values.money(totals.api_value_usd, rough);
  if (!totals.spent_usd && worth) return [el("span", { class: "worth" }, worth), el("small", {}, "API value")];
  return [values.money(totals.spent_usd, rough), el("small", {}, worth ? [worth, " API value"] : "spent")];
}

/** The label, and the beginning of the id: a project has many sessions. */
function sessionLink(row) {
  const id = values.plain(row.session_id).slice(0, 256);
  const label = values.plain(row.label).slice(0, 256);
  const start = id.slice(0, 8);
  return el(
    "a",
    { href: sessionHash(row.session_id, row.account_key), "data-key": `${row.account_key} ${row.session_id}`, title: id },
    label,
    label === start ? null : el("small", {}, ` ${start}`),
  );
}

export function sessionHash(id, account) {
  return `#/session/${encodeURIComponent(id)}${account ? `/${encodeURIComponent(account)}` : ""}`;
}
