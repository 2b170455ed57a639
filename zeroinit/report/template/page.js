// The start of the page: each part is drawn, and again when the state that it shows changes.
function drawAll() {
  drawThemeButton();
  drawHead();
  drawCurves();
  drawDifferences();
  drawMap();
  drawCard();
  drawTable();
  drawClaims();
  drawComparison();
  drawPlanes();
  drawAbout();
}

const hasPart = (part) => (changed) => changed.has("all") || changed.has(part);

listen(["theme"], () => {
  drawThemeButton();
  redrawAll(true);
});
listen(["metric", "along", "axis", "lines", "all"], drawCurves);
listen(["all"], drawDifferences);
listen(["x", "y", "colour", "all"], drawMap);
listen(["cell", "with"], () => {
  markChosen();
  markRows();
});
listen(["cell", "sheet"], drawCard);
listen(["cell"], () => announce(`${cells[chosenCell()].label}: ${cells[chosenCell()].accuracy}`));
listen(["filter", "sort", "up", "all"], drawTableRows);
listen(["rows", "columns"], drawTable);
listen(["cell", "with"], drawPlanes);
listen(["step"], drawPlaneStep);
listen(["cell", "with", "layer", "kind", "all"], drawComparison);

drawAll();
systemIsDark.addEventListener("change", () => {
  drawThemeButton();
  redrawAll(true);
});
for (const [name, value] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(name, () => {
    isPrinting = value;
    drawThemeButton();
    redrawAll(true);
  });
}
let timer;
addEventListener("resize", () => {
  clearTimeout(timer);
  timer = setTimeout(() => redrawAll(false), 150);
});
if (data.watch_seconds) setTimeout(() => location.reload(), 1000 * data.watch_seconds);
