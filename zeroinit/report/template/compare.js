// Two cells compared: their configs, their wavefronts, their layers and their weight gradients.
function drawComparison() {
  const [first, second] = [chosenCell(), otherCell()];
  const names = cells.map(({ label }, index) => [String(index), label]);
  keepFocus("compare-controls", () => put("compare-controls",
    labelledSelect("A", names, state.cell, (cell) => changeState({ cell })),
    labelledSelect("B", [["none", "nothing"], ...names.filter(([index]) => +index !== first)], second === null ? "none" : String(second),
      (value) => changeState({ with: value }))));
  const pair = [cells[first], second === null || second < 0 ? null : cells[second]];
  keepFocus("compare-parts", () => put("compare-parts", compareConfigs(...pair), compareDistinct(...pair), compareWavefronts(...pair),
    compareLayers(...pair), compareGradients(...pair)));
}

const besides = (...figures) => element("div", { class: "pair" }, figures);
const letter = (index) => "AB"[index];

function smallTable(heads, rows) {
  return element("div", { class: "wide" }, element("table", { class: "small" },
    element("thead", {}, element("tr", {}, heads.map((text) => element("th", { scope: "col" }, explain(text))))),
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map((text, index) =>
      element(index ? "td" : "th", index ? {} : { scope: "row" }, text || "\u2013")))))));
}

function compareConfigs(first, second) {
  const keys = [...new Set([...Object.keys(first.params), ...Object.keys(second?.params ?? {})])];
  const differing = second ? keys.filter((key) => first.params[key] !== second.params[key]) : keys;
  const rows = differing.map((key) => [key, first.params[key], ...(second ? [second.params[key]] : [])]);
  const results = [["outcome", first.outcomes, second?.outcomes], ["test accuracy", first.accuracy, second?.accuracy], ["n", first.marked_n, second?.marked_n]];
  return element("div", {}, element("h3", {}, second ? "Keys that differ, and results" : "Keys and results"),
    smallTable(["key", "A", ...(second ? ["B"] : [])], [...rows, ...results.map((row) => (second ? row : row.slice(0, 2)))]),
    second ? element("p", { class: "quiet" }, "All other keys of the two cells are equal.") : null);
}

function compareDistinct(first, second) {
  const layers = [...new Set([first, second].flatMap((cell) => cell?.distinct.map(([layer]) => layer) ?? []))];
  if (!layers.length) return null;
  const text = (cell, layer) => {
    const [, start, end] = cell.distinct.find(([name]) => name === layer) ?? [layer, "", ""];
    return start === end ? end : `${start}, then ${end}`;
  };
  return element("div", {}, element("h3", {}, explain("Distinct neurons, at the start and at the end")),
    smallTable(["layer", "A", ...(second ? ["B"] : [])], layers.map((layer) => [layer, text(first, layer), ...(second ? [text(second, layer)] : [])])));
}

function compareWavefronts(first, second) {
  const figures = [first, second].map((cell, index) => cell?.wavefront &&
    chartFigure({ ...cell.wavefront, title: `${letter(index)}: ${cell.wavefront.title}` }, { level: "h4" }));
  return figures.some((figure) => figure) ? element("div", {}, element("h3", {}, explain("Wavefront")), besides(...figures)) : null;
}

function compareLayers(first, second) {
  const kinds = [...new Set([first, second].flatMap((cell) => Object.keys(cell?.layers ?? {})))];
  if (!kinds.length) return null;
  const kind = kinds.includes(state.kind) ? state.kind : kinds.find((name) => /distinct/.test(name)) ?? kinds[0];
  const views = [first, second].map((cell) => cell?.layers[kind]);
  const names = kinds.map((name) => [name, [first, second].map((cell) => cell?.layers[name]?.title).find((title) => title)]);
  return element("div", {}, element("h3", {}, "Layers over training"),
    element("div", { class: "controls" }, labelledSelect("metric of each layer", names, kind, (value) => changeState({ kind: value }))),
    besides(...views.map((view, index) => view && chartFigure({ ...view, title: `${letter(index)}: ${view.title}` }, { level: "h4" }))));
}

function compareGradients(first, second) {
  const layers = [...new Set([first, second].flatMap((cell) => Object.keys(cell?.gradients?.layers ?? {})))];
  if (!layers.length || !data.gradients) return null;
  const layer = layers.includes(state.layer) ? state.layer : layers[0];
  return element("div", {}, element("h3", {}, "Weight gradients"),
    element("div", { class: "controls" }, labelledSelect("layer", layers.map((name) => [name, name]), layer, (value) => changeState({ layer: value }))),
    chartFigure(gradientView(first, second, layer), { level: "h4" }));
}

