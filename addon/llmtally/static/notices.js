/**
 * What needs a person, and what to do when nothing has passed yet.
 */

import { el, put } from "./dom.js";
import * as format from "./format.js";
import { windowName } from "./limits.js";
import { plain } from "./values.js";

const SHOWN = 6;

const TEXTS = {
  unpriced_model: ({ subject, count }) => ["warn", `No price for ${subject}`, `${calls(count)} today without a cost. Put a price into the file that \`usage_prices\` names.`],
  unparsed: ({ count }) => ["bad", `${calls(count, "response")} could not be read`, "Their tokens are in no sum. The proxy's log says why; please report it."],
  bypassed: ({ count }) => ["warn", `${calls(count, "connection")} went past the proxy`, "The client does not trust the proxy's certificate. The log names the hosts."],
  window: ({ subject, pct }) => [pct >= 100 ? "bad" : "warn", `${windowName(subject)}: ${format.percent(pct)} used`, ""],
  configured_limit: ({ subject, pct }) => [pct >= 100 ? "bad" : "warn", `Your limit on ${subject}: ${format.percent(pct)} used`, ""],
  journal: ({ count }) => ["bad", "The journal cannot be written", `${count ? `${calls(count, "record")} lost. ` : ""}Counting goes on in memory. Check the space and the rights in \`usage_dir\`.`],
};

function calls(count, word = "call") {
  return `${format.compact(count)} ${word}${count === 1 ? "" : "s"}`;
}

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

let shown = "";

export function drawNotices(problems) {
  const signature = JSON.stringify(problems);
  if (signature === shown) return; // said once to screen readers, not with every call
  shown = signature;
  const host = document.getElementById("notices");
  const things = gathered(problems);
  const rest = things.length - SHOWN;
  host.hidden = !things.length;
  put(
    host,
    things.slice(0, SHOWN).map((problem) => {
      const [kind, title, cure] = textOf(problem);
      return el("p", { class: `notice ${kind}` }, el("b", {}, plain(title).slice(0, 160)), " ", code(plain(cure)));
    }),
    rest > 0 && el("p", { class: "notice warn" }, calls(rest, "further notice")),
  );
}

/** Text with `names` between backticks. */
function code(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}

const DEFAULT_PORT = 8080;
const CA = "~/.mitmproxy/mitmproxy-ca-cert.pem";

export function drawEmpty(usage) {
  const port = usage.proxy?.port ?? DEFAULT_PORT;
  const host = usage.proxy?.host || "127.0.0.1";
  const lines = [
    `export HTTPS_PROXY=http://${host}:${port}`,
    `export SSL_CERT_FILE=${usage.proxy?.ca ?? CA}`,
    `export NODE_EXTRA_CA_CERTS=${usage.proxy?.ca ?? CA}`,
  ].join("\n");
  put(
    document.getElementById("empty"),
    el("h2", { id: "empty-title" }, "Nothing has passed yet"),
    el("p", {}, "Lead a client through the proxy: in the terminal where it runs,"),
    el("div", { class: "snippet" }, el("pre", { tabindex: "0" }, el("code", {}, lines)), copyButton(lines)),
    el(
      "dl",
      {},
      entry("Claude Code, Codex CLI, Python SDKs", "read ", el("code", {}, "SSL_CERT_FILE"), "; Codex also ", el("code", {}, "CODEX_CA_CERTIFICATE"), ", boto3 ", el("code", {}, "AWS_CA_BUNDLE")),
      entry("Gemini CLI and all on Node", "read ", el("code", {}, "NODE_EXTRA_CA_CERTS")),
      entry("A client with a base URL of its own", "needs no certificate: start with ", el("code", {}, "--mode reverse:https://api.anthropic.com"), ", then ", el("code", {}, `ANTHROPIC_BASE_URL=http://${host}:${port}`)),
    ),
    el("p", { class: "hint" }, "The first call appears here by itself."),
  );
}

function entry(term, ...text) {
  return [el("dt", {}, term), el("dd", {}, text)];
}

export function copyButton(text) {
  const button = el("button", { class: "quiet", type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl+C"; // no clipboard without a secure context
      getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
    }
  });
  return button;
}
