/**
 * Numbers, money and times as text. They are written as in the viewer's locale; words and units are English, like the rest of the
 * page. Unknown is `–`, never 0.
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

/** `1 call`, `41.2K calls` */
export function counted(count, word) {
  return `${compact(count)} ${word}${count === 1 ? "" : "s"}`;
}

/** `41,234` for 41,234.4 */
export function rounded(count) {
  return isUnknown(count) ? UNKNOWN : whole.format(count);
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

/** `$0.0382`: for columns in which decimal points are aligned. */
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

const tenths = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });

/** `820ms`, `4.2s`, `3m 12s`, `1h 5m`, `2d 4h` */
export function duration(ms) {
  if (isUnknown(ms)) return UNKNOWN;
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${whole.format(seconds * 1000)}ms`;
  if (seconds < 59.95) return `${tenths.format(seconds)}s`;
  const [size, big, small, per] = seconds < 3600 ? [60, "m", "s", 1] : seconds < 86400 ? [3600, "h", "m", 60] : [86400, "d", "h", 3600];
  const upper = `${whole.format(Math.floor(seconds / size))}${big}`;
  const lower = Math.floor((seconds % size) / per);
  return lower ? `${upper} ${whole.format(lower)}${small}` : upper;
}

/** A time that is left, without seconds above a minute. */
export function wait(ms) {
  if (isUnknown(ms)) return UNKNOWN;
  if (ms < 60_000) return `${whole.format(Math.max(0, ms / 1000))}s`;
  return duration(Math.floor(ms / 60_000) * 60_000);
}

let skew = 0;

/** Set the clock by the server's: all ages and waits are relative to it. */
export function setClock(generatedAt) {
  skew = Date.parse(generatedAt) - Date.now();
}

/** The server's time in milliseconds. */
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
/** A time with everything: weekday, date, seconds and zone. */
export const exactTime = formatted(full);

const isToday = (at) => at.toDateString() === moment(now()).toDateString();
const otherDay = (at) => (Math.abs(at - now()) < 6 * DAY ? day : date);

/** `14:30`, with the day if it is not today. */
export function soon(time) {
  if (isUnknown(time)) return UNKNOWN;
  const at = moment(time);
  return (isToday(at) ? minutes : otherDay(at)).format(at);
}

/** `14:30:05`, with the day instead of seconds if it is not today. */
export function clock(time) {
  return clockParts(time).join("");
}

/** The same as `[14:30, :05, ""]`: a narrow column can leave the seconds out. */
export function clockParts(time) {
  if (isUnknown(time)) return [UNKNOWN];
  const at = moment(time);
  if (!isToday(at)) return [otherDay(at).format(at)];
  const parts = seconds.formatToParts(at);
  const place = parts.findIndex(({ type }) => type === "second");
  const text = (from, to) => parts.slice(from, to).map(({ value }) => value).join("");
  return [text(0, place - 1), text(place - 1, place + 1), text(place + 1)];
}

/** `3m ago` */
export function ago(time) {
  if (isUnknown(time)) return UNKNOWN;
  const past = (now() - Date.parse(time)) / 1000;
  if (past < 5) return "now";
  const [size, unit] = past < 60 ? [1, "s"] : past < 3600 ? [60, "m"] : past < 86400 ? [3600, "h"] : [86400, "d"];
  return `${whole.format(Math.floor(past / size))}${unit} ago`;
}

/** Cut a long text, with an ellipsis for the rest. */
export function cut(text, length) {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
