/**
 * Names and colours of models. A model keeps its colour in every chart and table for as long as the page is open.
 */

const SLOTS = 8;
const OTHER = "other";
const UNKNOWN = "unknown";

const slots = new Map();

/** The colour of a model, by `provider/model`. */
export function slotOf(key) {
  const name = key.slice(0, 512);
  if (name === OTHER || name.endsWith(`/${OTHER}`)) return OTHER;
  if (!slots.has(name)) {
    if (slots.size > 1024) slots.clear();
    slots.set(name, slots.size % SLOTS);
  }
  return slots.get(name);
}

/** `provider/model` as the series and totals name it. */
export function keyOf(record) {
  return `${record.provider}/${modelOf(record)}`;
}

export function modelOf(record) {
  return record.model ?? record.request_model ?? UNKNOWN;
}

/** What a name may begin with: a path of providers (`models/`, `openrouter/openai/`), or a region and a vendor (`us.anthropic.`). */
const PREFIX = /^(?:.*\/)?(?:[a-z-]+\.)*/;
/** What it may end with: a context size, a tier, a date, a revision, or the word for the newest of them. */
const SUFFIX = /\[[^\]]*\]$|:[a-z]+$|[-@:](?:latest|0|\d{3,8}|(?:\d{4}-)?\d\d-\d\d(?:-\d{4})?|\d\d-\d{4}|v\d+(?::\d+)?)$/;

function family(name) {
  let rest = name.slice(0, 256).toLowerCase().replace(PREFIX, "");
  while (SUFFIX.test(rest)) rest = rest.replace(SUFFIX, "");
  return rest.replaceAll(".", "-");
}

/** The requested model if another one answered, not merely the same under a longer name; else null. */
export function askedOf({ model, request_model: asked }) {
  return model && asked && model !== asked && family(model) !== family(asked) ? asked : null;
}

/** The model without its provider. */
export function shortName(key) {
  return key.slice(key.indexOf("/") + 1);
}

/** The colour of a model whose provider is not given. */
export function slotOfName(model) {
  const key = [...slots.keys()].find((each) => shortName(each) === model);
  return slotOf(key ?? `${UNKNOWN}/${model ?? UNKNOWN}`);
}
