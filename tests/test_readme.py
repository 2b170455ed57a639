"""The README: short, and true of the repository. tests/docs runs its commands and counts its words."""

import re
from pathlib import Path

import pytest
from helpers.pages import FENCES, PAGES, read_page

from zeroinit import CONF, SWEEPS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MAX_LINES, MAX_WIDTH = 120, 160


def test_it_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) <= MAX_LINES
    assert max(map(len, lines)) <= MAX_WIDTH


def test_it_has_the_commands_of_ci() -> None:
    """The two that set up and begin, and no others in a block without a language but `zeroinit ui`."""
    indented = [line.strip() for line in README.splitlines() if line.startswith("    ")]
    install, quickstart, charts = indented
    assert install == "python3 -m venv .venv && .venv/bin/pip install -e ."
    assert quickstart == ".venv/bin/zeroinit -cn quickstart"
    assert charts == "zeroinit ui first"
    script = (ROOT / "dev").read_text()
    assert all(part in script for part in (*install.split(" && "), quickstart))


@pytest.mark.parametrize("page", PAGES)
def test_the_sweeps_and_files_it_names_exist(page: str) -> None:
    text = read_page(page)
    user_files = {Path(name).stem for name in re.findall(r"^# own/(\w+\.yaml)$", text, re.M)}
    for options, name in re.findall(r"zeroinit (-cd own )?-cn ([a-z]\w*)", text):
        assert name in user_files if options else (SWEEPS / f"{name}.yaml").exists(), name
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", text):
        file = (ROOT / page).parent / target if target else ROOT / page
        assert file.exists(), target
        if anchor and target.endswith(".md"):
            assert anchor in anchors(file.read_text()), f"{target}#{anchor}"


def anchors(text: str) -> set[str]:
    """GitHub's names of a page's headings, and those that the page gives."""
    heads = re.findall(r"^#+ (.+)$", FENCES.sub("", text), re.M)
    given = re.findall(r"\{ #([\w-]+) \}", text)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads} | {*given}


@pytest.mark.parametrize(
    "group", sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
)
def test_its_table_of_options_is_complete(group: str) -> None:
    table = README.partition("| group | options |")[2].partition("\n\n")[0]
    rows = re.sub(r"\|\n\| \|", "", table)  # a long list has several rows
    [row] = [line for line in rows.splitlines() if line.startswith(f"| `{group}` |")]
    assert {path.stem for path in (CONF / group).glob("*.yaml")} == {*re.findall(r"`(\w+)`", row)} - {group}
