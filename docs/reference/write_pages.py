"""Write the lists of the docs that come from the code, each between two markers: metrics, tags, outcomes, glossary."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from zeroinit import CONF
from zeroinit.probes.metrics import EVALUATIONS, all_probes
from zeroinit.probes.outcome import Outcome
from zeroinit.probes.probe import Metric
from zeroinit.report.glossary import GLOSSARY
from zeroinit.tracker import tags

DOCS = Path(__file__).parents[1]
PAGES = ("reference/options.md", "reference/metrics.md", "reference/outcomes.md", "glossary.md")
LIST = re.compile(r"(<!-- list: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def list_evaluations() -> str:
    """Return a table of the metrics that each run has."""
    return _tabulate(EVALUATIONS)


def list_probes() -> str:
    """Return a section for each probe, with a table of its metrics."""
    sections = []
    for name, probe in all_probes().items():
        summary = (probe.__doc__ or "").split("\n\n")[0].strip()
        metrics = _tabulate(probe.metrics) if probe.metrics else "It writes no metric.\n"
        sections.append(f"### {name}\n\n{' '.join(summary.split())}\n\n{metrics}")
    return "\n".join(sections)


def _tabulate(metrics: tuple[Metric, ...]) -> str:
    names = [metric.name.replace("{layer}", "<layer>") for metric in metrics]
    rows = [f"| `{name}` | {metric.description} | {metric.unit} |" for name, metric in zip(names, metrics, strict=True)]
    return "\n".join(["| metric | meaning | unit |", "|---|---|---|", *rows, ""])


def list_tags() -> str:
    """Return a table of the tags, with the comments of their module as meanings."""
    source = Path(tags.__file__).read_text().partition("class Tag")[2]
    rows = [f"| `{name}` | {meaning} |" for name, meaning in re.findall(r'^    \w+ = "([^"]+)"  # (.+)$', source, re.M)]
    return "\n".join(["| tag | meaning |", "|---|---|", *rows, ""])


def list_outcomes() -> str:
    """Return a table of the outcomes that the training of a run may have."""
    rows = [f"| `{outcome}` | {GLOSSARY[outcome].definition} |" for outcome in Outcome]
    return "\n".join(["| outcome | meaning |", "|---|---|", *rows, ""])


def list_terms() -> str:
    """Return the terms in alphabetical order, each with its definition and its other forms."""
    entries = []
    for name in sorted(GLOSSARY, key=str.lower):
        term = GLOSSARY[name]
        anchor = re.sub(r"\W+", "-", name.lower())
        forms = f" *Also: {', '.join(term.forms)}.*" if term.forms else ""
        entries.append(f"**{name}**{{ #{anchor} }}\n:   {term.definition}{forms}\n")
    return "\n".join(entries)


def list_options() -> str:
    """Return a section for each group, with the first comment of each option's file."""
    sections = []
    for group in sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"):
        rows = []
        for file in sorted(group.glob("*.yaml")):
            meaning = file.read_text().splitlines()[0].removeprefix("# ").replace("<", "&lt;")
            rows.append(f"| `{file.stem}` | {meaning} |")
        sections.append("\n".join([f"## {group.name}", "", "| option | meaning |", "|---|---|", *rows, ""]))
    return "\n".join(sections)


LISTS: Mapping[str, Callable[[], str]] = {
    "options": list_options,
    "evaluations": list_evaluations,
    "probes": list_probes,
    "tags": list_tags,
    "outcomes": list_outcomes,
    "terms": list_terms,
}


def fill_lists(text: str) -> str:
    """Return the text of a page with its lists as the code has them."""
    return LIST.sub(lambda match: f"{match[1]}\n{LISTS[match[2]]()}\n{match[3]}", text)


if __name__ == "__main__":
    for page in PAGES:
        (DOCS / page).write_text(fill_lists((DOCS / page).read_text()))
