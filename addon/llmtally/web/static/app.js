/**
 * The page: loads everything once, follows the server's events, and redraws each part when its data has changed.
 */

import { Calls } from "./calls.js";
import { el, put } from "./dom.js";
import * as format from "./format.js";
import { accountName, drawLimits } from "./limits.js";
import { slotOf } from "./models.js";
import { drawNotices } from "./notices.js";
import { ask, follow, Locked } from "./server.js";
import { Sessions } from "./sessions.js";
import { Drawer } from "./drawer.js";
import { Timeline } from "./timeline.js";
import { drawToday } from "./today.js";
import * as values from "./values.js";

/** Least time between two requests for the charts, while calls come in. */
const SERIES_MS = 3_000;
/** Least time between two requests for an open session. */
const DRAWER_MS = 2_000;
/** Least time between two announcements to a screen reader. */
const ANNOUNCE_MS = 60_000;
/** The charts are loaded at least this often, as they end at the current minute. */
const MINUTE_MS = 60_000;
const TICK_MS = 1_000;

const view = {
  usage: null,
  series: null,
  account: undefined,
  seriesAt: 0,
  drawerAt: 0,
  announcedAt: 0,
  announced: "",
  drawn: null,
  isStale: { series: false, drawer: false },
};

const byId = (id) => document.getElementById(id);

const calls = new Calls(paint, failed);
const sessions = new Sessions(failed);
const timeline = new Timeline(loadSeries);
const drawer = new Drawer({ session: openSession, call: openCall, tables: openTables, breakdown: openBreakdown }, failed);

// Loading

async function loadAll() {
  await Promise.all([loadUsage(), loadSeries(), calls.load()]);
  refreshDrawer();
}

async function loadUsage() {
  try {
    showUsage(await ask("api/usage", { account: view.account }));
  } catch (problem) {
    failed(problem);
  }
}

async function loadSeries() {
  view.seriesAt = Date.now();
  view.isStale.series = false;
  try {
    view.series = await ask("api/series", { minutes: timeline.range.value, account: view.account });
    paint();
  } catch (problem) {
    failed(problem);
  }
}

function failed(problem) {
  if (problem instanceof Locked) connection("locked");
}

function showUsage(usage) {
  format.setClock(usage.generated_at);
  const wasRestoring = view.usage?.restoring;
  view.usage = usage;
  view.isStale.drawer ||= drawer.path[0] === "breakdown";
  Object.keys(usage.week.per_model).forEach(slotOf);
  paint();
  if (wasRestoring && !usage.restoring) loadAll();
}

follow({
  open() {
    connection("live");
    loadAll();
  },
  lost() {
    if (byId("connection").dataset.state !== "locked") connection(view.usage ? "stopped" : "connecting");
    probe();
  },
  usage(usage) {
    if (view.account === undefined) showUsage(usage);
    else loadUsage();
  },
  record(record) {
    calls.add(record);
    view.isStale.series = true;
    view.isStale.drawer ||= drawer.path[0] === "session" && drawer.path[1] === record.session;
    paint();
  },
  reset: loadAll,
});

/** A refused event stream does not say why: send a request whose answer does. */
async function probe() {
  try {
    await ask("api/usage");
  } catch (problem) {
    failed(problem);
  }
}

const CONNECTION = {
  connecting: () => "Connecting",
  live: () => (isFollowed() ? "Live from the journal" : "Live"),
  stopped: () => `${isFollowed() ? "llmtally page has ended" : "Proxy stopped or unreachable"}. Numbers as of ${format.clock(view.usage.generated_at)}; retrying`,
  locked: () => "Logged out. Open the address that was printed at the start",
};

/** Whether this is the page of `llmtally page`, which reads what proxies write. */
function isFollowed() {
  return view.usage?.journal.followed;
}

function connection(state) {
  const status = byId("connection");
  document.body.dataset.connection = state;
  status.dataset.state = state;
  const text = CONNECTION[state]();
  if (status.textContent !== text) status.textContent = text;
}

// Drawing

let isPainting = false;

/** Draw in the next frame, once however much happens until then, and not while the page is hidden. */
function paint() {
  if (isPainting) return;
  isPainting = true;
  requestAnimationFrame(() => {
    isPainting = false;
    draw();
  });
}

/** Draw one part of the page per frame: all at once would delay a person's input. */
function draw() {
  const { usage, series } = view;
  if (!usage) return;
  const isEmpty = !usage.week.calls && !calls.records.length && !Object.keys(calls.filters).length && !usage.restoring && !usage.account;
  document.body.classList.toggle("is-empty", isEmpty);
  byId("empty").hidden = !isEmpty;
  if (usage !== view.drawn) drawUsage(usage);
  else if (!isEmpty && series && series !== timeline.series) timeline.draw(series, usage);
  else {
    if (isEmpty) showEmpty(usage);
    else calls.draw();
    return;
  }
  paint();
}

function drawUsage(usage) {
  view.drawn = usage;
  document.body.dataset.ready = "true";
  document.title = title(usage);
  byId("restoring").hidden = !usage.restoring;
  connection(byId("connection").dataset.state);
  drawNotices(usage);
  drawAccounts(usage);
  drawToday(usage);
  drawLimits(usage);
  sessions.draw(usage);
  calls.update(usage);
  announce(usage);
}

async function showEmpty(usage) {
  const { drawEmpty } = await import("./empty.js");
  drawEmpty(usage);
}

function title({ today }) {
  const amount = today.spent_usd || !today.api_value_usd ? today.spent_usd : today.api_value_usd;
  return today.calls ? `${format.money(today.cost_usd === null ? null : amount)} · llmtally` : "llmtally";
}

function drawAccounts({ accounts }) {
  const field = byId("account-field");
  const select = byId("account");
  field.hidden = accounts.length < 2;
  const options = accounts.map(({ select: value, account_key: key, providers }) => [value, `${accountName(key)}, ${providers.join(", ")}`]);
  const signature = JSON.stringify(options);
  if (select.dataset.options === signature || document.activeElement === select) return;
  select.dataset.options = signature;
  put(
    select,
    el("option", { value: "" }, "All accounts"),
    options.map(([value, text]) => el("option", { value, selected: value === view.account }, values.plain(text).slice(0, 80))),
  );
}

byId("account").addEventListener("change", (event) => {
  view.account = event.target.value || undefined;
  calls.account = view.account;
  calls.records = [];
  loadAll();
});

/** Announce today's totals to screen readers, at most once a minute and only if they changed. */
function announce({ today }) {
  const text = `${format.counted(today.calls, "call")} today, ${format.money(today.spent_usd)} spent${today.api_value_usd ? `, API value ${format.money(today.api_value_usd)}` : ""}`;
  if (text === view.announced || Date.now() - view.announcedAt < ANNOUNCE_MS) return;
  const isFirst = !view.announcedAt;
  view.announced = text;
  view.announcedAt = Date.now();
  if (!isFirst) byId("announcer").textContent = text;
}

setInterval(() => {
  if (document.hidden) return;
  values.tick();
  if (byId("connection").dataset.state !== "live") return;
  const seriesAge = Date.now() - view.seriesAt;
  if (seriesAge > (view.isStale.series ? SERIES_MS : MINUTE_MS)) loadSeries();
  sessions.tick();
  if (view.isStale.drawer && Date.now() - view.drawerAt > DRAWER_MS) refreshDrawer();
}, TICK_MS);

// The drawer

function refreshDrawer() {
  view.isStale.drawer = false;
  view.drawerAt = Date.now();
  drawer.refresh();
}

/** Calls that an open session has shown, by id. */
const seen = new Map();

async function openSession(parameters) {
  view.drawerAt = Date.now();
  try {
    const { sessionPage } = await import("./session_drawer.js");
    return await sessionPage(parameters, seen);
  } catch (problem) {
    return gone("Session", problem, "This session is not in memory: it is older than a week or unknown.");
  }
}

async function openCall([id]) {
  const { callPage } = await import("./call_drawer.js");
  try {
    const { call, cost } = await ask(`api/calls/${encodeURIComponent(id)}`);
    return callPage(call, cost);
  } catch (problem) {
    const record = calls.find(id) ?? seen.get(id);
    return record ? callPage(record, null) : gone("Call", problem, "This call is no longer in memory. Its record is in the journal.");
  }
}

function gone(title, problem, text) {
  if (problem) failed(problem);
  return { title, content: el("p", { class: "hint" }, text) };
}

async function openTables() {
  if (!view.series) await loadSeries();
  if (!view.series || !view.usage) return gone("Over time", null, "The proxy does not answer.");
  const { tablesPage } = await import("./tables_drawer.js");
  return tablesPage(view.series, view.usage);
}

async function openBreakdown() {
  if (!view.usage) await loadUsage();
  if (!view.usage) return gone("Where it went", null, "The proxy does not answer.");
  view.drawerAt = Date.now();
  const { breakdownPage } = await import("./breakdown_drawer.js");
  return breakdownPage(() => view.usage, showCalls);
}

function showCalls(filter, value) {
  drawer.dialog.close();
  calls.only(filter, value);
}

drawer.route();
