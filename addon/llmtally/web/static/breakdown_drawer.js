/**
 * Where it went: the cost of today or of the week by project, model, client, kind of work and outcome.
 */

import { OUTCOMES } from "./calls.js";
import { Choice } from "./choice.js";
import { el, morph, swatch } from "./dom.js";
import * as format from "./format.js";
import { shortName, slotOf } from "./models.js";
import { MONEY_HINT, moneyOf } from "./sessions.js";
import { isRough, isUnknown, lastDirectory, NAMELESS, ranked, shareOf } from "./shares.js";
import { Table } from "./table.js";
import * as values from "./values.js";

/** Rows of each table at first: together they fit a screen. */
const SHOWN = 6;
/** Characters of a name off the wire. */
const NAME = 120;

const PERIODS = [
  ["today", "Today", "today"],
  ["week", "7 days", "last 7 days"],
];

const WORK = {
  main: "main conversation",
  subagent: "subagents",
  auxiliary: "side tasks",
  probe: "probes",
};

const labelled = (text) => values.name(text, NAME);

/** Each table: its field in the usage, the filter for its calls, the filter's `value` for a name, and how the name is `shown`. */
const PARTS = [
  { title: "Project", field: "per_project", filter: "project", shown: projectName },
  { title: "Model", field: "per_model", filter: "model", value: shortName, shown: (name) => [swatch(slotOf(name)), labelled(shortName(name))] },
  { title: "Kind of work", field: "per_class", filter: "request_class", shown: (name) => labelled(WORK[name] ?? name) },
  { title: "Client", field: "per_client", filter: "client" },
  { title: "Outcome", field: "per_outcome", filter: "outcome", shown: (name) => labelled(OUTCOMES[name]?.[0] ?? name) },
];

/** The last directory of a path, and the rest of the path in small print. */
function projectName(path) {
  const last = lastDirectory(path);
  const parent = path.slice(0, path.lastIndexOf(last));
  return [labelled(last), el("small", {}, ` ${values.plain(parent).slice(0, NAME)}`)];
}

/** What the drawer shows; `usage()` returns the latest usage, `choose(filter, value)` shows the calls of a row. */
export function breakdownPage(usage, choose) {
  return new BreakdownPage(usage, choose);
}

class BreakdownPage {
  constructor(usage, choose) {
    this.usage = usage;
    this.title = "Where it went";
    const host = el("fieldset", { class: "choice" }, el("legend", { class: "spoken" }, "Period"));
    this.period = new Choice(host, "period", PERIODS, () => this.refresh());
    this.sum = el("p", { class: "sum" });
    this.parts = PARTS.map((part) => new Part(part, choose));
    this.content = [el("div", { class: "bar" }, this.sum, host), el("div", { class: "parts" }, this.parts.map(({ element }) => element))];
    this.refresh();
  }

  refresh() {
    const whole = this.usage()[this.period.value];
    morph(this.sum, sum(whole));
    for (const part of this.parts) part.draw(whole);
  }
}

/** The table of one field, with a button that shows all its rows. */
class Part {
  constructor({ title, field, filter, value = (name) => name, shown = labelled }, choose) {
    this.field = field;
    this.isExpanded = false;
    const columns = [
      { title },
      { title: "Cost", kind: "n", hint: MONEY_HINT },
      { title: "Calls, tokens", kind: "n" },
    ];
    this.table = new Table(`By ${title.toLowerCase()}, most expensive first`, columns, {
      key: ([name]) => name,
      version: ([, totals, whole]) => JSON.stringify([totals, whole.cost_usd, whole.total_tokens]),
      row: ([name, totals, whole]) => cells(nameOf(name, shown, () => choose(filter, value(name))), totals, whole),
    });
    this.more = el("button", { class: "quiet", type: "button", onclick: () => this.toggle() });
    this.element = el("section", { class: "part" }, this.table.element, this.more);
  }

  toggle() {
    this.isExpanded = !this.isExpanded;
    this.draw(this.whole);
  }

  draw(whole) {
    this.whole = whole;
    const rows = ranked(whole[this.field]).map(([name, totals]) => [name, totals, whole]);
    this.element.hidden = !rows.length;
    this.table.draw(this.isExpanded ? rows : rows.slice(0, SHOWN));
    this.more.hidden = rows.length <= SHOWN;
    this.more.textContent = this.isExpanded ? "Show fewer" : `Show all ${rows.length}`;
    this.more.setAttribute("aria-expanded", String(this.isExpanded));
  }
}

const key = (kind) => el("span", { class: `key ${kind}`, "aria-hidden": "true" });

function sum(whole) {
  if (!whole.calls) return "No calls yet.";
  const missing = whole.unpriced + whole.uncounted;
  const amounts = [
    (whole.spent_usd || !whole.api_value_usd) && [key("slot-cost"), el("b", {}, isUnknown(whole) ? values.unknown() : values.money(whole.spent_usd, isRough(whole))), " spent"],
    whole.api_value_usd && [key("read"), el("b", {}, values.money(whole.api_value_usd, isRough(whole))), " API value"],
    [values.count(whole.calls), " calls"],
    [values.count(whole.total_tokens), " tokens"],
    missing > 0 && el("span", { class: "warn" }, `${format.counted(missing, "call")} not included`),
  ];
  return amounts.filter(Boolean).map((amount) => el("span", {}, amount));
}

/** A name; a real one links to its calls. */
function nameOf(name, shown, choose) {
  if (NAMELESS.includes(name)) return el("span", { class: "name unknown" }, name === "other" ? "all others" : "unknown");
  const open = (event) => {
    event.preventDefault();
    choose();
  };
  return el("a", { class: "name", href: "#calls", "data-key": name, title: values.plain(name).slice(0, NAME), onclick: open }, shown(name));
}

function cells(name, totals, whole) {
  const share = shareOf(totals, whole);
  return [
    el(
      "span",
      { class: "two" },
      el("span", { class: "share-head" }, name, el("small", {}, values.percent(100 * share))),
      bar(totals, share),
    ),
    el("span", { class: "two" }, moneyOf(totals)),
    el("span", { class: "two" }, values.count(totals.calls), el("small", {}, values.count(totals.total_tokens))),
  ];
}

/** A bar for the share, split into what was billed and what was not. */
function bar({ cost_usd: cost, spent_usd: spent }, share) {
  const billed = cost ? (share * spent) / cost : share;
  return el("span", { class: "mix-bar", "aria-hidden": "true" }, el("span", { class: "bucket slot-cost", "--share": billed }), el("span", { class: "bucket read", "--share": share - billed }));
}
