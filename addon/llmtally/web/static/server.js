/**
 * The proxy as the page sees it: JSON on request, and a stream of events with reconnect.
 */

const RECONNECT_MS = 1_500;
/** The proxy tells how things stand every 15 seconds. Silence for longer is a lost connection, even if nothing has closed it. */
const SILENCE_MS = 40_000;
const LOOK_MS = 1_000;

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
  let heardAt = Date.now();
  const lose = () => {
    clearInterval(watch);
    source.close();
    handlers.lost();
    setTimeout(follow, RECONNECT_MS, handlers);
  };
  const watch = setInterval(() => Date.now() - heardAt > SILENCE_MS && lose(), LOOK_MS);
  source.addEventListener("error", lose);
  source.addEventListener("open", () => handlers.open());
  for (const name of ["record", "usage", "reset"]) {
    source.addEventListener(name, (event) => {
      heardAt = Date.now();
      handlers[name](JSON.parse(event.data));
    });
  }
}
