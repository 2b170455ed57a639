// The table of cells or of runs: filter, order, columns.
const MAX_ROWS = 300; // that are shown before the reader asks for all
const MAX_LETTERS = 50; // in a line of a table
const hasRuns = () => state.rows === "runs";

function tableColumns() {
  const { cells: ofCells, runs } = data.table;
  if (hasRuns()) return runs.columns;
  const metrics = Object.entries(data.map.paints).filter(([name, { means }]) => means !== undefined && !/^test\/(accuracy|loss)$/.test(name));
  return [...ofCells, ...metrics.map(([, paint]) => ({ name: paint.label, is_number: true, texts: paint.estimates, order: paint.means,
    interval: columnOf(paint.halves).some((half) => half !== null) ? paint.halves : undefined, isExtra: true }))];
}

function shownColumns() {
  const names = state.columns ? new Set(state.columns.split("|")) : null;
  return tableColumns().filter(({ name, isExtra }) => (names ? names.has(name) : !isExtra));
}

const cellOfRow = (row) => (hasRuns() ? columnOf(data.table.runs.cell)[row] : row);

function tableRows() {
  const columns = tableColumns(), words = state.filter.toLowerCase().split(/\s+/).filter((word) => word);
  const rows = d3.range(columnOf(columns[0].texts).length);
  const texts = (row) => [cells[cellOfRow(row)].label, ...columns.filter(({ isExtra }) => !isExtra).map((column) => columnOf(column.texts)[row])].join(" ").toLowerCase();
  // `init=zero` is that init alone, as long as a row has it; any other word may be a part
  const parts = (row) => cells[cellOfRow(row)].label.toLowerCase().split(/,?\s+/);
  const exact = new Set(words.filter((word) => word.includes("=") && rows.some((row) => parts(row).includes(word))));
  const hasWord = (row, word) => (exact.has(word) ? parts(row).includes(word) : texts(row).includes(word));
  const matching = words.length ? rows.filter((row) => words.every((word) => hasWord(row, word))) : rows;
  const column = columns.find(({ name }) => name === state.sort);
  if (!column) return matching;
  const order = columnOf(column.order), sign = state.up === "yes" ? 1 : -1;
  // what has no value is last, whichever way
  return matching.sort((a, b) => (order[a] === null) - (order[b] === null) || sign * (order[a] - order[b]) || a - b);
}

function drawTableControls() {
  const columns = tableColumns(), shown = new Set(shownColumns().map(({ name }) => name));
  const toggle = (name) => {
    const names = columns.map((column) => column.name).filter((other) => (other === name ? !shown.has(other) : shown.has(other)));
    changeState({ columns: names.join("|") || columns[0].name });
  };
  const boxes = columns.map(({ name }) => element("label", {}, element("input", { type: "checkbox", checked: shown.has(name),
    "data-control": `column ${name}`, onchange: () => toggle(name) }), ` ${name}`));
  const isOpen = byId("table-controls").querySelector("details")?.open;
  const filter = element("input", { type: "search", value: state.filter, "data-control": "filter", placeholder: "init=zero",
    oninput: (event) => changeState({ filter: event.target.value }, true) });
  keepFocus("table-controls", () => put("table-controls", element("label", {}, "filter ", filter),
    choiceButtons("rows", [["cells", "a row per cell"], ["runs", "a row per seed"]], state.rows, (rows) => changeState({ rows, columns: "", sort: "" })),
    element("details", { open: isOpen }, element("summary", {}, "columns"), element("div", { class: "boxes" }, boxes)),
    csvButton(state.rows, tableFile)));
}

function tableFile() {
  // numbers as plain ASCII, with the half width of each interval in a column of its own
  const columns = shownColumns().flatMap(({ name, is_number: isNumber, texts, order, interval }) => [[name, columnOf(isNumber ? order : texts)],
    ...(interval === undefined ? [] : [[`${name} interval`, columnOf(interval)]])]);
  return [columns.map(([name]) => name), ...tableRows().map((row) => columns.map(([, values]) => values[row]))];
}

function headerCell(column) {
  const isSorted = state.sort === column.name;
  const direction = !isSorted ? "none" : state.up === "yes" ? "ascending" : "descending";
  const arrow = { none: "", ascending: " \u25b2", descending: " \u25bc" }[direction];
  const sort = () => changeState({ sort: column.name, up: isSorted ? (state.up === "yes" ? "no" : "yes") : column.is_number ? "no" : "yes" });
  return element("th", { scope: "col", class: column.is_number ? "number" : null, "aria-sort": direction },
    button(column.name + arrow, sort, { "data-control": `sort ${column.name}`, "data-term": firstTerm(column.name) }));
}

function tableRow(row, columns) {
  const cell = cellOfRow(row), { run_id: id, link } = data.table.runs;
  const texts = columns.map(({ texts: of }) => columnOf(of)[row] || "\u2013");
  const run = hasRuns() && link && columnOf(id)[row];
  return element("tr", { "data-cell": cell, onclick: (event) => event.target.closest("a, [data-term]") || chooseCell(cell) },
    texts.map((text, index) => element("td", { class: columns[index].is_number ? "number" : text.length > MAX_LETTERS ? "long" : null },
      index ? text : button(text, () => {}, { class: "link row", "aria-label": `show ${cells[cell].label}` }))),
    run ? element("td", {}, element("a", { href: link.replace("RUN_ID", run) }, "MLflow")) : null);
}

function drawTable() {
  drawTableControls();
  drawTableRows();
}

function drawTableRows() {
  const columns = shownColumns(), rows = tableRows();
  const shown = state.all.split(",").includes("table") ? rows : rows.slice(0, MAX_ROWS);
  const hasLinks = hasRuns() && data.table.runs.link;
  const heads = [...columns.map(headerCell), hasLinks ? element("th", { scope: "col" }, "run") : null];
  keepFocus("table-rows", () => put("table-rows", element("table", { class: "rows" },
    element("thead", {}, element("tr", {}, heads)), element("tbody", {}, shown.map((row) => tableRow(row, columns))))));
  const missing = hasRuns() ? data.table.runs.left_out : 0;
  put("table-note", `${rows.length} ${hasRuns() ? "runs" : "cells"}. `, missing ? `${missing} more are not run yet or not shown. ` : "",
    shown.length < rows.length ? button(`show all ${rows.length} rows`, () => toggleAll("table")) : "", hasLinks ? data.links_hint : "");
  const body = byId("table-rows").querySelector("tbody");
  setRovingStop(body, "button.row", body.querySelector("button.row"));
  rove(body, "button.row", (item, key, items) => items[items.indexOf(item) + ({ ArrowDown: 1, ArrowUp: -1 }[key] ?? NaN)]);
  markRows();
}

function markRows() {
  for (const row of document.querySelectorAll("#table-rows tr[data-cell]")) row.setAttribute("aria-current", +row.dataset.cell === chosenCell());
}

