/**
 * A text to be copied.
 */

import { el } from "./dom.js";

/** A text in monospace, and a button that copies it. */
export function snippet(text) {
  return el("div", { class: "snippet" }, el("pre", { tabindex: "0" }, el("code", {}, text)), copyButton(text));
}

function copyButton(text) {
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
