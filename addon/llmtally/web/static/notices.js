/**
 * What needs a person.
 */

import { el, morph } from "./dom.js";
import * as format from "./format.js";
import { WARNING_PCT, windowName } from "./limits.js";
import { plain } from "./values.js";

const SHOWN = 6;

/** How serious, what, which is said once and so holds no number that grows, and the cure. */
const TEXTS = {
  unpriced_model: ({ subject, count }) => ["warn", `No price for ${subject}`, `${format.counted(count, "call")} today without a cost. Put a price into the file that \`usage_prices\` names.`],
  unparsed: ({ count }) => ["bad", "A response could not be read", `${format.counted(count, "response")} today, whose tokens are in no sum. The proxy's log says why; please report it.`],
  bypassed: ({ count }) => ["warn", "A client goes past the proxy", `${format.counted(count, "connection")} today: it does not trust the proxy's certificate. The log names the hosts.`],
  window: ({ window, pct }) => [...fullness(windowName(window), pct), ""],
  configured_limit: ({ subject, pct }) => [...fullness(`Your limit on ${subject}`, pct), ""],
  extra_usage: ({ subject }) => ["warn", `Extra usage is being billed by ${subject}`, "Calls beyond the plan count as spent."],
  journal: ({ count }) => ["bad", "The journal cannot be written", `${count ? `${format.counted(count, "record")} lost. ` : ""}Counting goes on in memory. Check the space and the rights in \`usage_dir\`.`],
};

function textOf(problem) {
  const known = TEXTS[problem.kind];
  return known ? known(problem) : ["warn", [problem.kind, problem.subject].filter(Boolean).join(": "), ""];
}

/** Many models without a price are one thing to do. */
function gathered(problems) {
  const unpriced = problems.filter(({ kind }) => kind === "unpriced_model");
  if (unpriced.length < 2) return problems;
  const count = unpriced.reduce((sum, problem) => sum + problem.count, 0);
  const subject = `${unpriced.length} models: ${unpriced.map(({ subject: model }) => format.cut(model, 40)).join(", ")}`;
  return [{ kind: "unpriced_model", subject, count }, ...problems.filter(({ kind }) => kind !== "unpriced_model")];
}

/** The gauge says how full; this changes only when it gets serious. */
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

/** Show what needs a person, and tell what is new of it to a screen reader. */
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
    rest > 0 && el("p", { class: "notice warn" }, format.counted(rest, "further notice")),
  );
  const fresh = texts.map(([, title]) => title).filter((title) => !known.has(title));
  if (fresh.length) document.getElementById("announcer").textContent = fresh.join(". ");
  known = new Set(texts.map(([, title]) => title));
}

/** Text with `names` between backticks. */
function code(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}
