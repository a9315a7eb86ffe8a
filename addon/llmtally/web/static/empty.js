/**
 * What to do while there are no calls yet.
 */

import { el, put } from "./dom.js";
import { snippet } from "./snippet.js";

const DEFAULT_PORT = 8080;
const CA = "~/.mitmproxy/mitmproxy-ca-cert.pem";

export function drawEmpty(usage) {
  const port = usage.proxy?.port ?? DEFAULT_PORT;
  const name = usage.proxy?.host || "127.0.0.1";
  const lines = [
    `export HTTPS_PROXY=http://${name}:${port}`,
    `export SSL_CERT_FILE=${usage.proxy?.ca ?? CA}`,
    `export NODE_EXTRA_CA_CERTS=${usage.proxy?.ca ?? CA}`,
  ].join("\n");
  const host = document.getElementById("empty");
  if (host.dataset.lines === lines) return;
  host.dataset.lines = lines;
  const byHand = [
    el("p", {}, "Or set it up by hand, in the terminal where the client runs:"),
    snippet(lines),
    el(
      "dl",
      {},
      entry("Claude Code, Codex CLI, Python SDKs", "read ", el("code", {}, "SSL_CERT_FILE"), "; Codex also ", el("code", {}, "CODEX_CA_CERTIFICATE"), ", boto3 ", el("code", {}, "AWS_CA_BUNDLE")),
      entry("Gemini CLI and other Node programs", "read ", el("code", {}, "NODE_EXTRA_CA_CERTS")),
      entry("A client with a configurable base URL", "needs no certificate: start with ", el("code", {}, "--mode reverse:https://api.anthropic.com"), ", then ", el("code", {}, `ANTHROPIC_BASE_URL=http://${name}:${port}`)),
    ),
  ];
  put(
    host,
    el("h2", { id: "empty-title" }, "No calls yet"),
    el("p", {}, "Run a client through the proxy with one command:"),
    snippet("llmtally run -- claude"),
    !usage.journal.followed && byHand,
    el("p", { class: "hint" }, "The first call appears here by itself. If none does, ", el("code", {}, "llmtally doctor"), " finds out why."),
  );
}

function entry(term, ...text) {
  return [el("dt", {}, term), el("dd", {}, text)];
}
