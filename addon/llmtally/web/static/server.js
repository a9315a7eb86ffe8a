/**
 * The connection to the server: JSON on request, and a stream of events that reconnects.
 */

const RECONNECT_MS = 1_500;
/** The server sends the usage every 15 seconds. A longer silence is a lost connection, even if nothing has closed it. */
const SILENCE_MS = 40_000;
const LOOK_MS = 1_000;

/** The server wants a login. */
export class Locked extends Error {}

/** Request JSON. Throws `Locked`, or an error if the server is gone or does not have it. */
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
 * A server that stops closes the connection, so `lost` is called at once; then it reconnects until the server is back.
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
