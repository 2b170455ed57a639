// The chosen cell in short: beside the map, or at the bottom of a small screen.
function outcomeChip(word, text, colour) {
  const attributes = { class: "word", style: colour ? `background:${colour};color:${hasDarkText(colour) ? "#111" : "#fff"}` : null };
  return data.glossary[word] ? element("button", { type: "button", "data-term": word, ...attributes }, text) : element("span", attributes, text);
}

function hasDarkText(colour) {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const { r, g, b } = d3.rgb(colour);
  return 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255) > 0.179;
}

function drawCard() {
  const cell = cells[chosenCell()];
  const sheet = byId("card");
  sheet.classList.toggle("open", state.sheet === "open");
  const facts = [["test accuracy", cell.accuracy], ["n", cell.marked_n],
    cell.difference ? [`minus ${data.baseline}, points`, cell.difference] : null,
    ...cell.distinct.map(([layer, start, end]) => [`distinct neurons of ${layer}`, start === end ? end : `${start}, then ${end}`])];
  put("card", element("div", { class: "card-head" }, element("h3", { id: "card-title" }, cell.label),
    button("\u00d7", closeSheet, { class: "close", "aria-label": "close" })),
  element("p", {}, outcomeChip(cell.outcome, cell.outcomes, cell.colour)),
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

