// Nets with two inputs: decision boundary, the lines of the first neurons, and their weights, at a step that plays.
const GRID = 60; // points of the boundary along each axis
const PLAY_MILLISECONDS = 350;
let player = null;

const planeCells = () => [chosenCell(), otherCell()].filter((index) => cells[index]?.plane);

function planeSteps() {
  const steps = planeCells().flatMap((index) => cells[index].plane.steps);
  return [...new Set(steps)].sort((a, b) => a - b);
}

function currentStep() {
  const steps = planeSteps();
  return steps.includes(+state.step) ? +state.step : steps.at(-1);
}

function drawPlanes() {
  byId("plane").hidden = !planeCells().length;
  if (!planeCells().length) return stopPlaying();
  const steps = planeSteps();
  const slider = element("input", { type: "range", id: "step", min: 0, max: steps.length - 1, "data-control": "step",
    oninput: (event) => changeState({ step: String(planeSteps()[event.target.value]) }, true) });
  keepFocus("plane-controls", () => put("plane-controls", button("play", togglePlaying, { id: "play", "data-control": "play" }),
    element("span", {}, element("label", { for: "step" }, "step"), " ", slider, " ", element("output", { for: "step" }))));
  drawPlaneStep();
}

function drawPlaneStep() {
  if (!planeCells().length) return;
  const step = currentStep();
  byId("step").value = planeSteps().indexOf(step);
  byId("step").setAttribute("aria-valuetext", `step ${step}`);
  byId("plane-controls").querySelector("output").textContent = step;
  put("plane-charts", planeCells().map((index) => {
    const figure = element("div", {}, chartFigure(planeView(cells[index], step)), weightTable(cells[index].plane, step));
    drawHolderSoon(figure);
    return figure;
  }));
}

function drawHolderSoon(figure) {
  // at once, so that playing does not flicker
  requestAnimationFrame(() => figure.isConnected && drawHolder(figure.querySelector(".drawing")));
}

function togglePlaying() {
  if (player) return stopPlaying();
  byId("play").textContent = "pause";
  if (currentStep() === planeSteps().at(-1)) changeState({ step: String(planeSteps()[0]) }, true);
  player = setInterval(() => {
    const steps = planeSteps(), next = steps[steps.indexOf(currentStep()) + 1];
    if (next === undefined) stopPlaying();
    else changeState({ step: String(next) }, true);
  }, PLAY_MILLISECONDS);
}

function stopPlaying() {
  clearInterval(player);
  player = null;
  if (byId("play")) byId("play").textContent = "play";
}

function indexAt(plane, step) {
  // of the last snapshot that is not after the step
  return Math.max(0, d3.bisectRight(plane.steps, step) - 1);
}

function planeView({ plane }, step) {
  // the examples, and the lines that follow from the weights at a step: those of all steps would make the page large
  const view = data.plane[plane.examples], index = indexAt(plane, step), rows = [...neuronLines(plane, index, view), ...boundaryLines(plane, index, view)];
  const frame = Object.fromEntries(Object.entries(view.frame).map(([name, values]) =>
    [name, [...values, ...rows.map((row) => row[name] ?? (name.startsWith("is_") ? false : ""))]]));
  return { ...view, title: `${plane.title}, step ${plane.steps[index]}`, frame };
}

function neuronLines({ neurons, layers }, index, view) {
  // where the input of each neuron of the first hidden layer is zero
  const { weight, bias } = layers[0], [left, right] = view.x.domain, [low, high] = view.y.domain;
  return neurons.flatMap((name, neuron) => {
    const [a, b] = weight[index][neuron], c = bias?.[index][neuron] ?? 0;
    if (!a && !b) return [];
    const ends = Math.abs(b) > Math.abs(a) ? [left, right].map((x) => [x, -(c + a * x) / b]) : [low, high].map((y) => [-(c + b * y) / a, y]);
    return ends.map(([x, y]) => ({ x, y, group: name, tip: name, is_neuron: true }));
  });
}

function boundaryLines(plane, index, view) {
  // for each class, where its logit equals the largest of the others; of two classes, once; of one sigmoid, where its logit is 0
  const net = netAt(plane, index), [left, right] = view.x.domain, [low, high] = view.y.domain;
  const scaleTo = (value, from, to) => from + (value / (GRID - 1)) * (to - from);
  const logits = d3.range(GRID * GRID).map((point) => net([scaleTo(point % GRID, left, right), scaleTo(Math.floor(point / GRID), low, high)]));
  const classes = logits[0].length <= 2 ? [0] : d3.range(logits[0].length);
  return classes.flatMap((kind) => {
    const margins = logits.map((values) => values[kind] - (d3.max(values.filter((_, other) => other !== kind)) ?? 0));
    const rings = d3.contours().size([GRID, GRID]).contour(margins, 0).coordinates.flat();
    return rings.flatMap((ring, number) => splitAtBorder(ring).flatMap((part, piece) => part.map(([x, y]) => ({
      x: scaleTo(x - 0.5, left, right), y: scaleTo(y - 0.5, low, high), group: `boundary ${kind} ${number} ${piece}`,
      tip: "decision boundary", is_boundary: true }))));
  });
}

function splitAtBorder(ring) {
  // a contour is closed along the border of the grid, which is no boundary of a class
  const isBorder = ([x, y]) => x < 0.51 || y < 0.51 || x > GRID - 0.51 || y > GRID - 0.51;
  const parts = [[]];
  for (const point of ring) {
    if (isBorder(point)) parts.push([]);
    else parts.at(-1).push(point);
  }
  return parts.filter((part) => part.length > 1);
}

function weightTable(plane, step) {
  const index = indexAt(plane, step), [first, second] = plane.layers;
  if (!second || first.weight[index].length > 12) return null;
  const rows = first.weight[index].map((row, neuron) => [String(neuron + 1), row.map(formatNumber).join(", "),
    formatNumber(first.bias?.[index][neuron] ?? 0), second.weight[index].map((out) => formatNumber(out[neuron])).join(", ")]);
  return smallTable("neurons", plane.heads, rows);
}

