// The state of the page, which the hash of the address holds: all that differs from the first state.
const FIRST_STATE = {
  cell: String(data.first_cell), with: "auto", metric: data.curves?.default.metric ?? "", along: data.curves?.default.along ?? "",
  axis: data.curves?.default.axis ?? "", lines: data.curves?.default.lines ?? "", x: data.map.default.x, y: data.map.default.y,
  colour: Object.keys(data.map.paints)[1] ?? "outcome", filter: "", sort: "", up: "yes", rows: "cells", columns: "",
  all: "", layer: "", step: "last", kind: "", theme: "auto", sheet: "closed", row: "", at: "", ui: "", watch: "", hidden: "",
};
let state = readState();
const listeners = []; // [keys, function]

function readState() {
  const read = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const known = Object.entries(read).filter(([key]) => key in FIRST_STATE);
  const next = { ...FIRST_STATE, ...Object.fromEntries(known) };
  if (!cells[+next.cell]) next.cell = FIRST_STATE.cell;
  if (!cells[+next.with] && next.with !== "none") next.with = FIRST_STATE.with;
  next.at = [location.hash.slice(1), next.at].find((id) => id && byId(id)) ?? ""; // `#map` is an address, too
  if (!(next.colour in data.map.paints)) next.colour = FIRST_STATE.colour;
  if (!(`${next.x} ${next.y}` in data.map.panels)) Object.assign(next, { x: FIRST_STATE.x, y: FIRST_STATE.y });
  return next;
}

function listen(keys, update) {
  listeners.push([keys, update]);
}

function changeState(changes, replaces = false) {
  const before = state;
  state = { ...state, ...changes };
  const entries = Object.entries(state).filter(([key, value]) => value !== FIRST_STATE[key]);
  const hash = `#${new URLSearchParams(entries)}`;
  try {
    history[replaces ? "replaceState" : "pushState"](null, "", hash);
  } catch { /* a page inside another page may have no address */ }
  tellListeners(before);
}

function tellListeners(before) {
  const changed = new Set(Object.keys(state).filter((key) => state[key] !== before[key]));
  for (const [keys, update] of listeners) if (keys.some((key) => changed.has(key))) update(changed);
}

function followAddress() {
  const before = state;
  state = readState();
  tellListeners(before);
}

addEventListener("popstate", followAddress);
addEventListener("hashchange", followAddress);

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
let isPrinting = false;
const isDark = () => !isPrinting && (state.theme === "auto" ? systemIsDark.matches : state.theme === "dark");
const chosenCell = () => +state.cell;

function otherCell() {
  // the cell to compare with: the baseline of the chosen cell, unless the reader has chosen another
  if (state.with !== "auto") return state.with === "none" ? null : +state.with;
  return cells[chosenCell()].baseline ?? cells.findIndex((_, index) => index !== chosenCell());
}

