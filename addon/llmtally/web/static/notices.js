/**
 * The notices at the top: what needs attention, and what to do.
 */

import { el, morph } from "./dom.js";
import * as format from "./format.js";
import { WARNING_PCT, windowName } from "./limits.js";
import { plain } from "./values.js";

const SHOWN = 6;

/** By kind: severity, title and what to do. A title is announced once, so it holds no number that grows. */
const TEXTS = {
  unpriced_model: ({ subject, count }) => ["warn", `No price for ${subject}`, `${format.counted(count, "call")} today without a known cost. Add a price to the file that \`usage_prices\` names.`],
  unparsed: ({ count }) => ["bad", "A response could not be parsed", `${format.counted(count, "response")} today whose tokens are not counted. The proxy's log says why; please report it.`],
  bypassed: ({ count }) => ["warn", "A client bypasses the proxy", `${format.counted(count, "connection")} today: the client does not trust the proxy's certificate. The log names the hosts.`],
  window: ({ window, pct }) => [...fullness(windowName(window), pct), ""],
  configured_limit: ({ subject, pct }) => [...fullness(`Your limit on ${subject}`, pct), ""],
  extra_usage: ({ subject }) => ["warn", `Extra usage is being billed by ${subject}`, "Calls beyond the plan count as spent."],
  left_out: ({ subject }) => ["bad", `Some figures cannot be shown: ${subject}`, "All others are right. The proxy's log says why; please report it."],
  journal: ({ count }) => ["bad", "The journal cannot be written", `${count ? `${format.counted(count, "record")} lost. ` : ""}Counting continues in memory. Check the free space and the permissions of \`usage_dir\`.`],
};

function textOf(problem) {
  const known = TEXTS[problem.kind];
  return known ? known(problem) : ["warn", [problem.kind, problem.subject].filter(Boolean).join(": "), ""];
}

/** Merge models without a price into one notice: the remedy is the same for all. */
function gathered(problems) {
  const unpriced = problems.filter(({ kind }) => kind === "unpriced_model");
  if (unpriced.length < 2) return problems;
  const count = unpriced.reduce((sum, problem) => sum + problem.count, 0);
  const subject = `${unpriced.length} models: ${unpriced.map(({ subject: model }) => format.cut(model, 40)).join(", ")}`;
  return [{ kind: "unpriced_model", subject, count }, ...problems.filter(({ kind }) => kind !== "unpriced_model")];
}

/** Percentages at which a notice changes; the gauge shows the exact one. */
const STEPS = [95, 90, WARNING_PCT];

function fullness(name, pct) {
  if (pct >= 100) return ["bad", `${name} is used up`];
  return ["warn", `${name}: over ${format.percent(STEPS.find((step) => pct >= step))} used`];
}

function withWindow(problem, windows) {
  const { kind, subject, pct } = problem;
  if (kind !== "window") return problem;
  return { ...problem, window: windows.find(({ key, name, utilization }) => (name ?? key) === subject && utilization === pct) ?? { key: subject } };
}

let known = new Set();

/** Show the notices, and announce new ones to a screen reader. */
export function drawNotices({ problems, windows }) {
  const host = document.getElementById("notices");
  const things = gathered(problems.map((problem) => withWindow(problem, windows)));
  const texts = things.slice(0, SHOWN).map((thing) => {
    const [kind, title, cure] = textOf(thing);
    return [kind, plain(title).slice(0, 160), plain(cure)];
  });
  const rest = things.length - texts.length;
  host.hidden = !things.length;
  morph(
    host,
    texts.map(([kind, title, cure]) => el("p", { class: `notice ${kind}` }, el("b", {}, title), " ", code(cure))),
    rest > 0 && el("p", { class: "notice warn" }, format.counted(rest, "more notice")),
  );
  const fresh = texts.map(([, title]) => title).filter((title) => !known.has(title));
  if (fresh.length) document.getElementById("announcer").textContent = fresh.join(". ");
  known = new Set(texts.map(([, title]) => title));
}

/** Turn `names` between backticks into code elements. */
function code(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}
