// The start of the page: each part is drawn, and again when the state that it shows changes.
const draws = { drawThemeButton, drawHead, drawCurves, drawDifferences, drawMap, drawCard, drawTable, drawClaims, drawComparison, drawPlanes, drawAbout,
  drawNav, drawWatch };
for (const draw of Object.values(draws)) draw();

function drawAnew() {
  drawThemeButton();
  redrawAll(true);
}

listen(["theme"], drawAnew);
listen(["metric", "along", "axis", "lines", "all"], drawCurves);
listen(["all"], drawDifferences);
listen(["x", "y", "colour", "all"], drawMap);
listen(["cell", "with"], markChosen);
listen(["cell", "with", "row"], markRows);
listen(["cell", "sheet", "ui"], drawCard);
listen(["cell"], () => announce(`${cells[chosenCell()].label}: ${cells[chosenCell()].accuracy}`));
listen(["filter", "sort", "up", "all", "ui"], drawTableRows);
listen(["rows", "columns"], drawTable);
listen(["cell", "with"], drawPlanes);
listen(["step"], drawPlaneStep);
listen(["cell", "with", "layer", "kind", "all"], drawComparison);
listen(["watch"], drawWatch);
listen(["hidden"], () => redrawAll(false));

systemIsDark.addEventListener("change", drawAnew);
narrowScreen.addEventListener("change", drawTableRows);
for (const [name, value] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(name, () => {
    isPrinting = value;
    drawAnew();
  });
}
let timer;
addEventListener("resize", () => {
  clearTimeout(timer);
  timer = setTimeout(() => redrawAll(false), 150);
});
if (history.state?.position) restorePosition(history.state.position);
else if (state.at) goTo(state.at);
if (data.watch) setInterval(loadAgain, 1000 * data.watch.seconds);
