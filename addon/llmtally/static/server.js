/**
 * The proxy as the page sees it: JSON on request, and a stream of events with reconnect.
 */

const RECONNECT_MS = 1_500;

/** The proxy wants a login. */
export class Locked extends Error {}

/** Ask for JSON. Raises `Locked`, or an error where there is no proxy or no such thing. */
export async function ask(path, query = {}) {
  const known = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(known).toString();
  const answer = await fetch(search ? `${path}?${search}` : path, { headers: { Accept: "application/json" }, cache: "no-store" });
  if (answer.status === 401 || answer.status === 403) throw new Locked();
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer.json();
}

/**
 * Follow `/api/events`. `handlers`: one for each event name, and `open` and `lost`.
 * A stopped proxy closes the connection, so `lost` comes at once; then it is tried again until it is back.
 */
export function follow(handlers) {
  const source = new EventSource("api/events");
  source.addEventListener("open", () => handlers.open());
  for (const name of ["record", "usage", "reset"]) {
    source.addEventListener(name, (event) => handlers[name](JSON.parse(event.data)));
  }
  source.addEventListener("error", () => {
    source.close();
    handlers.lost();
    setTimeout(follow, RECONNECT_MS, handlers);
  });
}
