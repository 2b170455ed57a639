// Links to the sections: the state has the section that a reader went to, and the link of the section on the screen is marked.
const sectionsOf = () => [...document.querySelectorAll("main > section:not([hidden])")];
const linkTo = (id, text) => element("a", { href: `#${id}`, onclick: (event) => {
  event.preventDefault(); // the address holds the whole state
  changeState({ at: id });
  goTo(id);
} }, text);

function drawNav() {
  const links = [linkTo("top", "Top"), ...sectionsOf().map(({ id, dataset }) => linkTo(id, dataset.nav))];
  put("nav", element("ul", {}, links.map((link) => element("li", {}, link))));
  markSection();
}

function goTo(id, offset = 0) {
  // charts above the section are drawn first, as they change its position
  for (const holder of document.querySelectorAll(".drawing")) {
    if (!holder.isDrawn && holder.compareDocumentPosition(byId(id)) & Node.DOCUMENT_POSITION_FOLLOWING) drawHolder(holder);
  }
  byId(id).scrollIntoView();
  if (offset) scrollBy(0, offset);
  byId(id).focus({ preventScroll: true });
}

function markSection() {
  const current = sectionsOf().findLast((section) => section.getBoundingClientRect().top < 0.35 * innerHeight)?.id ?? "top";
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.hash !== `#${current}`) link.removeAttribute("aria-current");
    else if (!link.hasAttribute("aria-current")) {
      link.setAttribute("aria-current", "true");
      byId("nav").scrollTo({ left: link.offsetLeft - 40 });
    }
  }
}

addEventListener("scroll", () => requestAnimationFrame(markSection), { passive: true });

