// Definitions of terms, on hover and on focus.
const forms = Object.keys(data.glossary).sort((a, b) => b.length - a.length);
const escaped = forms.map((form) => form.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
const TERMS = new RegExp(`(?<![\\w./=-])(${escaped.join("|")})(?![\\w./=-]*\\w)`, "gi");
const formsByLetters = new Map(forms.map((form) => [form.toLowerCase(), form]));
const formOf = (text) => (text === "N" ? undefined : formsByLetters.get(text.toLowerCase()));

const firstTerm = (text) => (forms.length ? formOf(text.match(TERMS)?.[0] ?? "") : undefined);

function explain(text, known = new Set()) {
  // the text, with a button for the first of each term that is not known
  if (!forms.length) return [text];
  const nodes = [];
  let end = 0;
  for (const { 0: word, index } of text.matchAll(TERMS)) {
    const form = formOf(word), definition = data.glossary[form];
    if (!form || known.has(definition)) continue;
    known.add(definition);
    nodes.push(text.slice(end, index), element("button", { type: "button", class: "term", "data-term": form }, word));
    end = index + word.length;
  }
  return [...nodes, text.slice(end)].filter((node) => node !== "");
}

function showTip(text, { left, top, bottom }, isAbove = false) {
  // beside a box on the screen, not over it
  const tooltip = byId("tooltip"), { style } = tooltip;
  tooltip.textContent = text;
  tooltip.hidden = false;
  style.left = `${scrollX + Math.max(8, Math.min(left, document.documentElement.clientWidth - tooltip.offsetWidth - 8))}px`;
  const hasRoom = { true: top - tooltip.offsetHeight - 6 > 0, false: bottom + 6 + tooltip.offsetHeight < innerHeight };
  const goesAbove = hasRoom[isAbove] ? isAbove : hasRoom[!isAbove] ? !isAbove : isAbove;
  style.top = `${scrollY + (goesAbove ? top - tooltip.offsetHeight - 6 : bottom + 6)}px`;
}

function showDefinition(target) {
  if (!target.isConnected) return hideDefinition(); // an entry of a legend that a click has drawn anew
  showTip(data.glossary[target.dataset.term], target.getBoundingClientRect());
  target.setAttribute("aria-describedby", "tooltip");
}

function hideDefinition() {
  byId("tooltip").hidden = true;
  for (const node of document.querySelectorAll("[aria-describedby=tooltip]")) node.removeAttribute("aria-describedby");
}

for (const name of ["mouseover", "focusin", "click"]) {
  document.addEventListener(name, (event) => {
    const target = event.target.closest?.("[data-term]");
    if (target) showDefinition(target);
    else if (name === "click") hideDefinition();
  });
}
document.addEventListener("mouseout", (event) => event.target.closest?.("[data-term]") && hideDefinition());
document.addEventListener("focusout", (event) => event.target.closest?.("[data-term]") && hideDefinition());
document.addEventListener("keydown", (event) => event.key === "Escape" && hideDefinition());

