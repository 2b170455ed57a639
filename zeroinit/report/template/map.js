// The map of all cells over any two keys; a tile is a button.
const TILES = ".tile";

function mapView() {
  const { axes, no_axis, panels, paints, marks } = data.map;
  const [x, y] = [axes[state.x] ?? no_axis, axes[state.y] ?? no_axis];
  const { rows, columns, row, column } = panels[`${state.x} ${state.y}`];
  const paint = paints[state.colour];
  return { name: "map", title: data.map.title, caption: paint.caption, notes: letterNotes(), x: x.x, y: y.y, colour: paint.colour,
    rows, columns, marks, frame: { ...paint.frame, x: x.column, y: y.column, row, column } };
}

const letterNotes = () => (data.map.letters.length ? [`Letters: ${data.map.letters.map(([letter, word]) => `${letter} ${word}`).join(", ")}.`] : []);

function drawMapControls() {
  const keys = Object.keys(data.map.axes);
  const axis = (name, other) => labelledSelect(name === "x" ? "columns" : "rows", [...keys.map((key) => [key, key]), ["", "\u2013"]], state[name],
    (value) => changeState({ [name]: value, ...(value && value === state[other] ? { [other]: state[name] } : {}) }));
  const paints = Object.entries(data.map.paints).map(([name, { label }]) => [name, label]);
  keepFocus("map-controls", () => put("map-controls",
    labelledSelect("colour", paints, state.colour, (colour) => changeState({ colour })), keys.length ? [axis("x", "y"), axis("y", "x")] : null));
}

function drawMap() {
  drawMapControls();
  put("map-chart", chartFigure(mapView(), { onDraw: makeTilesButtons }));
}

function makeTilesButtons(svg, marks) {
  svg.setAttribute("role", "group");
  for (const { mark, rows, index, get } of marks) {
    if (mark.kind !== "tile") continue;
    svg.querySelectorAll(`.rows-${index} rect`).forEach((tile) => {
      const cell = rows[tile.__data__];
      fill(tile, { class: "tile", role: "button", tabindex: -1, "data-cell": cell, "aria-label": `${cells[cell].label}: ${get.tip(cell)}` }, []);
      tile.addEventListener("click", () => chooseCell(cell));
    });
  }
  svg.addEventListener("keydown", (event) => {
    const tile = event.target.closest(TILES);
    if (!tile || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault(); // the space key would scroll the page
    chooseCell(+tile.dataset.cell);
  });
  rove(svg, TILES, nearestTile);
  markChosen();
}

function nearestTile(tile, key, tiles) {
  const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (!direction) return null;
  const centre = (node) => {
    const { x, y, width, height } = node.getBoundingClientRect();
    return [x + width / 2, y + height / 2];
  };
  const [x, y] = centre(tile);
  const distance = (node) => {
    const [dx, dy] = [centre(node)[0] - x, centre(node)[1] - y];
    const along = dx * direction[0] + dy * direction[1], across = Math.abs(dx * direction[1] - dy * direction[0]);
    return along > 1 ? along + 4 * across : Infinity;
  };
  const nearest = d3.least(tiles, distance);
  return nearest && distance(nearest) < Infinity ? nearest : null;
}

function chooseCell(index) {
  changeState({ cell: String(index), sheet: "open", row: "" });
}

function raise(tile) {
  // the outline is above the neighbours; a node that moves loses the focus
  const hasFocus = tile === document.activeElement;
  tile.parentElement.append(tile);
  if (hasFocus) tile.focus();
}

function markChosen() {
  const [chosen, other] = [chosenCell(), otherCell()];
  for (const tile of document.querySelectorAll(TILES)) {
    const cell = +tile.dataset.cell;
    tile.setAttribute("aria-pressed", cell === chosen);
    tile.classList.toggle("beside", cell === other);
    if (cell === chosen) raise(tile);
  }
  const svg = document.querySelector("#map-chart .drawing > svg:last-child");
  if (svg && !svg.contains(document.activeElement)) setRovingStop(svg, TILES, svg.querySelector(`[data-cell="${chosen}"]`) ?? svg.querySelector(TILES));
}

