// What the sweep claims, and the verdict on each claim.
const SIGNS = { supported: "\u2713", refuted: "\u2717", undetermined: "?" };
const CLAIM_HEADS = ["claim", "verdict", "compared", "n", "finding", "what would decide it"];

function drawClaims() {
  byId("claims").hidden = !data.claims.length;
  const describe = ({ statement, source }) => [statement, source ? element("span", { class: "source" }, source) : null];
  const lines = d3.groups(data.claims, (row) => row.claim).flatMap(([, rows]) => rows.map((row, index) => element("tr", {},
    index ? null : element("td", { class: "statement", rowspan: rows.length }, describe(row)),
    element("td", {}, element("button", { type: "button", class: `verdict ${row.verdict}`, "data-term": row.verdict }, `${SIGNS[row.verdict]} ${row.verdict}`)),
    element("td", {}, row.compared), element("td", { class: "number" }, row.marked_n), element("td", {}, row.finding || "\u2013"),
    element("td", {}, row.needed || "\u2013"))));
  const heads = CLAIM_HEADS.map((text) => element("th", { scope: "col", class: text === "n" ? "number" : null }, text));
  put("judged", element("thead", {}, element("tr", {}, heads)), element("tbody", {}, lines));
  put("claims-controls", csvButton("claims", () => {
    const columns = Object.keys(data.claims[0]).filter((name) => name !== "marked_n");
    return [columns, ...data.claims.map((row) => columns.map((name) => row[name]))];
  }));
}

