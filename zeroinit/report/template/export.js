// Files that a reader can take away: charts as SVG and PNG, tables as CSV; and commands on the clipboard.
function download(name, type, content) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function wrapText(text, width, size) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) && textWidth(longer, size) > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

function wholeChart(view, holder) {
  // title, legend, chart and caption as a single SVG
  const parts = [...holder.querySelectorAll("svg")].filter((svg) => !svg.parentElement.closest("svg"));
  const width = Math.max(...parts.map((svg) => +svg.getAttribute("width"))) + 24;
  const whole = svgElement("svg", { xmlns: "http://www.w3.org/2000/svg", width, "font-family": "system-ui, sans-serif" });
  const style = getComputedStyle(document.documentElement);
  const paper = svgElement("rect", { width: "100%", height: "100%", fill: style.getPropertyValue("--page").trim() });
  whole.append(paper);
  whole.setAttribute("color", style.getPropertyValue("--ink").trim());
  let y = 10;
  const write = (text, size, weight) => wrapText(text, width - 24, size).forEach((line) => {
    y += size * 1.35;
    whole.append(svgElement("text", { x: 12, y, "font-size": size, "font-weight": weight, fill: "currentColor" }, line));
  });
  write(view.title, 15, 600);
  if (view.y.label) write(axisTitle(view.y), 12, 400);
  y += 8;
  for (const svg of parts) {
    const copy = svg.cloneNode(true);
    copy.setAttribute("x", 12);
    copy.setAttribute("y", y);
    whole.append(copy);
    y += +svg.getAttribute("height") + 6;
  }
  write([view.caption, ...view.notes].join(" "), 11, 400);
  whole.setAttribute("height", y + 14);
  const text = new XMLSerializer().serializeToString(whole);
  return text.replaceAll("var(--chart)", style.getPropertyValue("--chart").trim());
}

async function savePng(name, svg) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = element("canvas", { width: 2 * image.width, height: 2 * image.height });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => download(name, "image/png", blob));
}

function exportButtons(view, holderOf) {
  const name = `${data.sweep}-${view.name.replace(/\W+/g, "-")}`;
  const drawn = () => {
    if (!holderOf().isDrawn) drawHolder(holderOf());
    return wholeChart(view, holderOf());
  };
  return [button("SVG", () => download(`${name}.svg`, "image/svg+xml", drawn()), { "aria-label": `save as SVG: ${view.title}` }),
    button("PNG", () => savePng(`${name}.png`, drawn()), { "aria-label": `save as PNG: ${view.title}` })];
}

function csvButton(name, tableOf) {
  const quote = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const save = () => download(`${data.sweep}-${name}.csv`, "text/csv",
    tableOf().map((row) => row.map((value) => quote(String(value ?? ""))).join(",")).join("\n") + "\n");
  return button("CSV", save, { "aria-label": `save the table of ${name} as CSV`, "data-control": `csv ${name}` });
}

function copyButton(text) {
  return button("copy", async (event) => {
    try {
      await navigator.clipboard.writeText(text);
      event.target.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(event.target.parentElement.querySelector("code"));
      event.target.textContent = "selected";
    }
    announce(`${event.target.textContent}: ${text}`);
  }, { "aria-label": `copy ${text}` });
}

