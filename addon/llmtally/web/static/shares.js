/**
 * Parts of a sum: the totals of each name in it, and their shares.
 */

/** Keys for calls without a name, and for all names beyond the cap. */
export const NAMELESS = ["unknown", "other"];

/** Whether a cost is unknown: a sum of nothing but unknowns is not 0. */
export function isUnknown(totals) {
  return totals.cost_usd === null || (!totals.cost_usd && totals.unpriced + totals.uncounted > 0);
}

/** Whether calls are missing in a sum. */
export function isRough(totals) {
  return totals.unpriced > 0 || totals.uncounted > 0;
}

/** The share of the cost from 0 to 1, or of the tokens if nothing has a cost. */
export function shareOf(totals, whole) {
  const field = whole.cost_usd ? "cost_usd" : "total_tokens";
  return whole[field] ? (totals[field] ?? 0) / whole[field] : 0;
}

/** `{name: totals}` as pairs, the most expensive first, what is summed as `other` last. Objects do not keep the order of all keys. */
export function ranked(named) {
  const weight = ([name, totals]) => [name === "other" ? 0 : 1, totals.cost_usd ?? 0, totals.total_tokens ?? 0, totals.calls];
  return Object.entries(named).sort((one, other) => {
    const [left, right] = [weight(one), weight(other)];
    const place = left.findIndex((value, index) => value !== right[index]);
    return place < 0 ? 0 : right[place] - left[place];
  });
}

export function lastDirectory(path) {
  return path.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1) || path;
}
