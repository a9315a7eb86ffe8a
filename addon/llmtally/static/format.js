/**
 * Numbers, money and times as text, in the viewer's locale. Unknown is `–`, never 0.
 */

const LOCALE = navigator.language;

export const UNKNOWN = "–";

const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumSignificantDigits: 3 });
const precise = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 3 });

const isUnknown = (value) => value === null || value === undefined || Number.isNaN(value);

/** `41.2K` */
export function compact(count) {
  if (isUnknown(count)) return UNKNOWN;
  return Math.abs(count) < 1000 ? whole.format(count) : short.format(count);
}

/** `41,234` */
export function exact(count) {
  return isUnknown(count) ? "unknown" : precise.format(count);
}

function dollars(digits) {
  return new Intl.NumberFormat(LOCALE, {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

const cents = dollars(2);
const fractions = dollars(4);
const millionths = dollars(6);
const all = new Intl.NumberFormat(LOCALE, { style: "currency", currency: "USD", maximumFractionDigits: 10 });

const SMALLEST = 0.0001;

/** `$12.41`; less than a cent with four digits. */
export function money(usd) {
  if (isUnknown(usd)) return UNKNOWN;
  if (usd > 0 && usd < SMALLEST) return `<${fractions.format(SMALLEST)}`;
  return (usd > 0 && usd < 0.01 ? fractions : cents).format(usd);
}

/** `$0.0382`: for columns in which the points stand below each other. */
export function fineMoney(usd) {
  if (isUnknown(usd)) return UNKNOWN;
  if (usd > 0 && usd < SMALLEST) return `<${fractions.format(SMALLEST)}`;
  return fractions.format(usd);
}

/** `$0.038250`: for sums whose smallest items are single tokens. */
export function finestMoney(usd) {
  return isUnknown(usd) ? UNKNOWN : millionths.format(usd);
}

export function exactMoney(usd) {
  return isUnknown(usd) ? "unknown" : all.format(usd);
}

/** `62 %` for 62. */
export function percent(value) {
  if (isUnknown(value)) return UNKNOWN;
  const digits = Math.abs(value) < 10 && value % 1 !== 0 ? 1 : 0;
  return new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: digits }).format(value / 100);
}

const unit = (name, digits = 0) =>
  new Intl.NumberFormat(LOCALE, { style: "unit", unit: name, unitDisplay: "narrow", maximumFractionDigits: digits });
const UNITS = {
  ms: unit("millisecond"),
  tenths: unit("second", 1),
  s: unit("second"),
  min: unit("minute"),
  h: unit("hour"),
  d: unit("day"),
};

/** `820ms`, `4.2s`, `3m 12s`, `1h 5m`, `2d 4h` */
export function duration(ms) {
  if (isUnknown(ms)) return UNKNOWN;
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return UNITS.ms.format(Math.round(seconds * 1000));
  if (seconds < 59.95) return UNITS.tenths.format(seconds);
  const [size, big, small, per] =
    seconds < 3600 ? [60, "min", "s", 1] : seconds < 86400 ? [3600, "h", "min", 60] : [86400, "d", "h", 3600];
  const upper = Math.floor(seconds / size);
  const lower = Math.floor((seconds % size) / per);
  return lower ? `${UNITS[big].format(upper)} ${UNITS[small].format(lower)}` : UNITS[big].format(upper);
}

/** A span of time to look forward to, without seconds above a minute. */
export function wait(ms) {
  if (isUnknown(ms)) return UNKNOWN;
  if (ms < 60_000) return UNITS.s.format(Math.max(0, Math.round(ms / 1000)));
  return duration(Math.floor(ms / 60_000) * 60_000);
}

let skew = 0;

/** Tell the clock of the proxy, which all times are told by. */
export function setClock(generatedAt) {
  skew = Date.parse(generatedAt) - Date.now();
}

/** The proxy's time in milliseconds. */
export function now() {
  return Date.now() + skew;
}

const seconds = new Intl.DateTimeFormat(LOCALE, { timeStyle: "medium" });
const minutes = new Intl.DateTimeFormat(LOCALE, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(LOCALE, { weekday: "short", hour: "numeric", minute: "2-digit" });
const date = new Intl.DateTimeFormat(LOCALE, { weekday: "short", day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "long" });

const DAY = 86_400_000;

const moment = (time) => new Date(time);
const formatted = (format) => (time) => (isUnknown(time) ? UNKNOWN : format.format(moment(time)));

/** `14:30` */
export const hour = formatted(minutes);
/** `Fri, 20 Nov` */
export const dayName = formatted(date);
/** Everything there is to a moment. */
export const exactTime = formatted(full);

const isToday = (at) => at.toDateString() === moment(now()).toDateString();
const otherDay = (at) => (Math.abs(at - now()) < 6 * DAY ? day : date);

/** `14:30`, with the day where it is another one. */
export function soon(time) {
  if (isUnknown(time)) return UNKNOWN;
  const at = moment(time);
  return (isToday(at) ? minutes : otherDay(at)).format(at);
}

/** `14:30:05`, with the day instead of seconds where it is another one. */
export function clock(time) {
  if (isUnknown(time)) return UNKNOWN;
  const at = moment(time);
  return (isToday(at) ? seconds : otherDay(at)).format(at);
}

const relative = new Intl.RelativeTimeFormat(LOCALE, { style: "narrow", numeric: "auto" });

/** `3m ago` */
export function ago(time) {
  if (isUnknown(time)) return UNKNOWN;
  const past = (Date.parse(time) - now()) / 1000;
  if (past > -5) return relative.format(0, "second");
  if (past > -60) return relative.format(Math.round(past), "second");
  if (past > -3600) return relative.format(Math.round(past / 60), "minute");
  if (past > -86400) return relative.format(Math.round(past / 3600), "hour");
  return relative.format(Math.round(past / 86400), "day");
}

/** The first characters of something long; the end is said to be missing. */
export function cut(text, length) {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
