// A page of a sweep that trains loads itself again, unless its reader has paused that or uses the page. The address holds
// the state; what it does not hold, such as the scroll position, is in the history.
const IDLE_MILLISECONDS = 3000; // without input, before the page loads itself again
let lastInput = 0;

function drawWatch() {
  const isPaused = state.watch === "paused";
  const text = isPaused ? "resume" : "pause", toggle = () => changeState({ watch: isPaused ? "" : "paused" }, true);
  if (data.watch) put("watch", `updated at ${data.watch.updated}, ${isPaused ? "paused" : `again every ${data.watch.seconds} s`} `,
    button(text, toggle, { "aria-label": `${text} updates` }));
  else if (history.state?.position) put("watch", "The sweep has ended; this is its last update.");
}

function rememberPosition() {
  const { id } = sectionsOf().findLast((section) => section.getBoundingClientRect().top <= 1) ?? byId("top"), rows = byId("table-rows");
  history.replaceState({ position: { id, offset: -byId(id).getBoundingClientRect().top, top: rows.scrollTop, left: rows.scrollLeft,
    control: document.activeElement.dataset.control, hasColumns: byId("table-controls").querySelector("details").open } }, "");
}

function restorePosition({ id, offset, top, left, control, hasColumns }) {
  byId("table-controls").querySelector("details").open = hasColumns;
  goTo(id);
  scrollBy(0, byId(id).getBoundingClientRect().top + offset);
  byId("table-rows").scrollTo(left, top);
  [...document.querySelectorAll("[data-control]")].find((node) => node.dataset.control === control)?.focus({ preventScroll: true });
  history.replaceState(data.watch ? null : history.state, "");
}

function loadAgain() {
  const isInUse = player || state.watch === "paused" || Date.now() - lastInput < IDLE_MILLISECONDS;
  if (isInUse) return;
  rememberPosition();
  location.reload();
}

for (const name of ["pointerdown", "keydown", "wheel", "input", "touchmove"]) addEventListener(name, () => { lastInput = Date.now(); }, { passive: true });

