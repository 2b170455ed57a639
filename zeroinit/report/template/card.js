// The chosen cell in short: beside the map, or at the bottom of a small screen.
function outcomeChip({ outcome: word, outcomes: text, colour, is_dark: isDarkColour }) {
  const attributes = { class: "word", style: colour ? `background:${colour};color:${isDarkColour ? "#fff" : "#111"}` : null };
  return data.glossary[word] ? element("button", { type: "button", "data-term": word, ...attributes }, text) : element("span", attributes, text);
}

function cardParts(index) {
  const cell = cells[index];
  const facts = [["{{score}}", cell.accuracy], ["n", cell.marked_n], ...(cell.difference ? [[`minus ${data.baseline}, points`, cell.difference]] : []),
    ...cell.distinct.map(([layer, text]) => [`distinct neurons of ${layer}`, text])];
  return [element("div", {}, element("p", {}, outcomeChip(cell)),
    element("dl", {}, facts.flatMap(([name, text]) => [element("dt", {}, explain(name)), element("dd", {}, text)])),
    element("p", {}, button("compare with another cell", () => showComparison(index), { class: "link" }))), listRuns(index)];
}

function drawCard() {
  byId("card").classList.toggle("open", state.sheet === "open");
  put("card", element("div", { class: "card-head" }, element("h3", { id: "card-title" }, explain(cells[chosenCell()].label)),
    button("\u00d7", closeSheet, { class: "close", "aria-label": "close" })), cardParts(chosenCell()));
}

function closeSheet() {
  const row = byId("table-rows").querySelector(`tr[data-row="${state.row}"] button.row`);
  changeState({ sheet: "closed", row: "" }, true);
  (row ?? document.querySelector(`${TILES}[aria-pressed=true]`))?.focus({ preventScroll: true });
}

function showComparison(index) {
  changeState({ sheet: "closed", cell: String(index), at: "compare" }, true);
  goTo("compare");
  byId("compare").querySelector("select")?.focus();
}

function listRuns(index) {
  // runs with the same outcome and reason share a line
  const { columns, cell, run_id: id } = data.table.runs;
  const texts = Object.fromEntries(columns.map((column) => [column.name, columnOf(column.texts)]));
  const rows = d3.range(columnOf(id).length).filter((row) => columnOf(cell)[row] === index);
  const linkOf = (row) => {
    const href = runLink(columnOf(id)[row]), seed = texts.seed[row];
    return href ? element("a", { href, title: texts["{{score}}"][row] }, seed) : seed;
  };
  const lines = d3.groups(rows, (row) => `${texts.outcome[row]}\n${texts.reason[row]}`).map(([, [first, ...rest]]) => element("li", {},
    "seed ", linkOf(first), rest.flatMap((row) => [", ", linkOf(row)]), `: ${[texts.outcome[first], texts.reason[first]].filter((text) => text).join(", ")}`));
  const more = cells[index].runs_planned - rows.length;
  return element("ul", { class: "runs" }, lines, more > 0 ? element("li", {}, `${more} more ${more > 1 ? "runs" : "run"}, not run yet or not shown`) : null);
}

function runLink(id) {
  return id && data.links ? uiAddress() + data.links.path.replace("RUN_ID", id) : null;
}

function uiAddress() {
  // where MLflow's UI is: what the reader has given, if that is an address of the web
  try {
    const { protocol, origin } = new URL(/:\/\//.test(state.ui) ? state.ui : `http://${state.ui}`);
    return state.ui && /^https?:$/.test(protocol) ? origin : data.links.address;
  } catch {
    return data.links.address;
  }
}

function linkControls() {
  if (!data.links.hint) return "";
  const field = element("input", { type: "text", inputmode: "url", value: state.ui || data.links.address, "aria-label": "address of MLflow's UI",
    "data-control": "ui", onchange: (event) => changeState({ ui: event.target.value.trim() }, true) });
  return element("span", { class: "address" }, data.links.hint, " ", field);
}

document.addEventListener("keydown", (event) => event.key === "Escape" && state.sheet === "open" && closeSheet());

