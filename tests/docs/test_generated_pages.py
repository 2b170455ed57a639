"""The lists of the docs are those of the code."""

import re
import runpy
from typing import Any

import pytest
from helpers.pages import ROOT

from zeroinit import CONF
from zeroinit.probes.metrics import all_probes
from zeroinit.probes.outcome import Outcome
from zeroinit.report.glossary import GLOSSARY
from zeroinit.tracker.tags import Tag

WRITER: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "reference" / "write_pages.py"))


@pytest.mark.parametrize("page", WRITER["PAGES"])
def test_its_lists_are_up_to_date(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    assert WRITER["LIST"].search(text)
    assert WRITER["fill_lists"](text) == text, "./dev docs"


def test_each_list_is_on_a_page() -> None:
    texts = "".join((ROOT / "docs" / page).read_text() for page in WRITER["PAGES"])
    assert {name for _, name, _ in WRITER["LIST"].findall(texts)} == {*WRITER["LISTS"]}


def test_every_option_probe_tag_outcome_and_term_is_listed() -> None:
    metrics = WRITER["list_probes"]()
    for name, probe in all_probes().items():
        assert f"### {name}\n" in metrics
        assert all(f"`{metric.name.replace('{layer}', '<layer>')}`" in metrics for metric in probe.metrics)
    tags = {value for key, value in vars(Tag).items() if key.isupper()}
    assert tags
    assert all(f"| `{tag}` |" in WRITER["list_tags"]() for tag in tags)
    assert all(f"| `{outcome}` |" in WRITER["list_outcomes"]() for outcome in Outcome)
    options = WRITER["list_options"]()
    assert all(f"| `{file.stem}` | " in options for file in CONF.glob("*/*.yaml") if file.parent.name != "hydra")
    assert all(f"**{name}**" in WRITER["list_terms"]() for name in GLOSSARY)


def test_all_parameters_of_each_architecture_are_in_init_csv() -> None:
    """In the table that benchmarks/architectures.py wrote; what is refused has its sentence below."""
    text = (ROOT / "docs" / "reference" / "architectures.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\|$", text, re.M)
    assert len(rows) == len(set(rows)) == 40
    shares = re.findall(r"\| (\d+) of (\d+) \|", text)
    assert all(covered == of for covered, of in shares)
    refused = re.findall(r"^\| `(\w+)` \|.* refused \|", text, re.M)
    assert len(shares) >= 40 - len(refused)
    assert all(f"\n- `{name}`: `" in text for name in refused)
