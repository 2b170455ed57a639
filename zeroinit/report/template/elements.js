// Elements of HTML and SVG.
function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svgElement(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const byId = (id) => document.getElementById(id);
const put = (id, ...children) => byId(id).replaceChildren(...children.flat().filter((child) => child));
const button = (text, onclick, attributes = {}) => element("button", { type: "button", onclick, ...attributes }, text);
const announce = (text) => put("status", text);

function labelledSelect(name, options, chosen, onChange, attributes = {}) {
  // options: [value, text]
  const items = options.map(([value, text]) => element("option", { value, selected: value === chosen }, text));
  const id = `select-${name.replace(/\W+/g, "-")}`;
  const select = element("select", { id, "data-control": name, onchange: (event) => onChange(event.target.value), ...attributes }, items);
  return element("span", {}, element("label", { for: id }, name), " ", select);
}

function choiceButtons(name, options, chosen, onChange) {
  // a group of radio buttons: options: [value, text]
  const items = options.map(([value, text]) => element("label", {}, element("input", { type: "radio", name, value,
    checked: value === chosen, "data-control": `${name} ${value}`, onchange: () => onChange(value) }), ` ${text}`));
  return element("fieldset", {}, element("legend", { class: "unseen" }, name), items);
}

function keepFocus(id, update) {
  // controls that are made anew keep the focus
  const name = byId(id).contains(document.activeElement) && document.activeElement.dataset.control;
  update();
  if (name) [...byId(id).querySelectorAll("[data-control]")].find((node) => node.dataset.control === name)?.focus();
}

function rove(container, selector, nextOf) {
  // of the elements, the tab key reaches a single item; arrow keys move between them
  container.addEventListener("keydown", (event) => {
    const item = event.target.closest(selector);
    const next = item && nextOf(item, event.key, [...container.querySelectorAll(selector)]);
    if (!next) return;
    setRovingStop(container, selector, next);
    next.focus();
    event.preventDefault();
  });
}

function setRovingStop(container, selector, stop) {
  for (const item of container.querySelectorAll(selector)) item.setAttribute("tabindex", item === stop ? 0 : -1);
}

