/**
 * Values as elements: short to the eye, exact on hover and for screen readers.
 */

import { el, spoken } from "./dom.js";
import * as format from "./format.js";

function value(text, precise, approximate) {
  if (text === format.UNKNOWN) return unknown();
  const shown = approximate ? `~${text}` : text;
  const said = approximate ? `about ${precise}` : precise;
  if (shown === said) return el("span", {}, shown);
  return el("span", { title: said }, el("span", { "aria-hidden": "true" }, shown), spoken(said));
}

/** The mark for a value that is not known. */
export function unknown() {
  return el("span", { class: "unknown", title: "unknown" }, el("span", { "aria-hidden": "true" }, format.UNKNOWN), spoken("unknown"));
}

export const count = (n, approximate = false) => value(format.compact(n), format.exact(n), approximate);
export const money = (usd, approximate = false) => value(format.money(usd), format.exactMoney(usd), approximate);
export const fineMoney = (usd, approximate = false) => value(format.fineMoney(usd), format.exactMoney(usd), approximate);
export const finestMoney = (usd, approximate = false) => value(format.finestMoney(usd), format.exactMoney(usd), approximate);
export const exactCount = (n, approximate = false) => value(n === null || n === undefined ? format.UNKNOWN : format.exact(n), format.exact(n), approximate);
export const percent = (n) => value(format.percent(n), `${format.exact(n)} percent`, false);
export const duration = (ms) => value(format.duration(ms), `${format.exact(ms)} milliseconds`, false);

/** A name off the wire, cut, without terminal escapes and other control characters. */
export function name(text, length = 256) {
  if (text === null || text === undefined || text === "") return unknown();
  const clean = format.cut(plain(text), length);
  return el("span", { class: "name", title: clean }, clean);
}

/** Text without control and direction characters, which could rearrange the text around it. */
export function plain(text) {
  return String(text).slice(0, 4096).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\u{FFFD}");
}

const LIVE = { ago: format.ago, in: (time) => format.wait(Date.parse(time) - format.now()) };

/** A time whose text is kept current; `kind`: `ago` or `in`. */
export function liveTime(time, kind) {
  if (!time) return unknown();
  return el("time", { datetime: time, title: format.exactTime(time), "data-live": kind }, LIVE[kind](time));
}

export function clock(time) {
  if (!time) return unknown();
  const [before, seconds, after] = format.clockParts(time);
  return el("time", { datetime: time, title: format.exactTime(time) }, before, seconds && el("span", { class: "seconds" }, seconds), after);
}

/** Update all live times. */
export function tick() {
  for (const each of document.querySelectorAll("time[data-live]")) {
    const text = LIVE[each.dataset.live](each.dateTime);
    if (each.textContent !== text) each.textContent = text;
  }
}
