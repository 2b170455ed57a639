// The chosen cell in short: beside the map, or at the bottom of a small screen.
function outcomeChip({ outcome: word, outcomes: text, colour, is_dark: isDarkColour }) {
  const attributes = { class: "word", style: colour ? `background:${colour};color:${isDarkColour ? "#fff" : "#111"}` : null };
  return data.glossary[word] ? element("button", { type: "button", "data-term": word, ...attributes }, text) : element("span", attributes, text);
}

function drawCard() {
  const cell = cells[chosenCell()];
  const sheet = byId("card");
  sheet.classList.toggle("open", state.sheet === "open");
  const facts = [["test accuracy", cell.accuracy], ["n", cell.marked_n],
    cell.difference ? [`minus ${data.baseline}, points`, cell.difference] : null,
    ...cell.distinct.map(([layer, text]) => [`distinct neurons of ${layer}`, text])];
  put("card", element("div", { class: "card-head" }, element("h3", { id: "card-title" }, cell.label),
    button("\u00d7", closeSheet, { class: "close", "aria-label": "close" })),
  element("p", {}, outcomeChip(cell)),
  element("dl", {}, facts.filter((fact) => fact).flatMap(([name, text]) => [element("dt", {}, explain(name)), element("dd", {}, text)])),
  listRuns(chosenCell()),
  element("p", {}, button("compare with another cell", () => showComparison(), { class: "link" })));
}

function closeSheet() {
  changeState({ sheet: "closed" }, true);
  document.querySelector(`${TILES}[aria-pressed=true]`)?.focus();
}

function showComparison() {
  changeState({ sheet: "closed" }, true);
  byId("compare").scrollIntoView();
  byId("compare").querySelector("select")?.focus();
}

function listRuns(index) {
  // runs with the same outcome and reason share a line
  const { columns, cell, run_id: id, link } = data.table.runs;
  const texts = Object.fromEntries(columns.map((column) => [column.name, columnOf(column.texts)]));
  const ids = columnOf(id);
  const rows = d3.range(ids.length).filter((row) => columnOf(cell)[row] === index);
  const groups = d3.groups(rows, (row) => `${texts.outcome[row]}\n${texts.reason[row]}`);
  const lines = groups.map(([, [first, ...rest]]) => element("li", {}, "seed ", [first, ...rest].flatMap((row, position) => [
    position ? ", " : "", link && ids[row] ? element("a", { href: link.replace("RUN_ID", ids[row]), title: texts["test accuracy"][row] }, texts.seed[row]) : texts.seed[row]]),
  `: ${[texts.outcome[first], texts.reason[first]].filter((text) => text).join(", ")}`));
  const more = cells[index].runs_planned - rows.length;
  return element("ul", { class: "runs" }, lines, more > 0 ? element("li", {}, `${more} more ${more > 1 ? "runs" : "run"}, not run yet or not shown`) : null);
}

document.addEventListener("keydown", (event) => event.key === "Escape" && state.sheet === "open" && closeSheet());

