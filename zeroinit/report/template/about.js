// Caveats, commands, and the facts of the runs.
function drawAbout() {
  const known = new Set();
  const notes = data.notes.map((note) => element("li", {}, explain(note, known)));
  put("notes", notes.length ? element("ul", {}, notes) : element("p", {}, "There are no warnings."));
  put("commands", data.commands.map((command) => element("p", { class: "command" }, element("code", {}, command), " ", copyButton(command))));
  put("facts", data.facts.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
  put("omissions", data.omissions.length ? `To keep the page small: ${data.omissions.join(", ")}.` : "");
}

