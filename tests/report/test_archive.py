"""The table that outlives its store, and the page that is made of it."""

import csv
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zeroinit import SWEEPS, load
from zeroinit.config.claims import parse_claims
from zeroinit.report import cli
from zeroinit.report.archive import format_table, merge_rows, read_table
from zeroinit.report.manifest import MANIFEST_FILE, Manifest
from zeroinit.report.results_page import SweepFile, format_pages, read_sweep_file
from zeroinit.report.tables import mark_n
from zeroinit.tracker.mlflow import Mlflow

DOCS = Path(__file__).parents[2] / "docs"
SWEEP = """\
# Do zero weights learn the digits? 6 runs.
defaults: [config, _self_]
dataset: {batch_size: 128}
arch: {hidden: [8]}
steps: 10
hydra:
  mode: MULTIRUN
  sweeper:
    params: {dataset: digits, init: 'default,zero,zero_normal', seed: range(2)}
claims:
  - {statement: All zero stays, source: theory, cells: {init: zero}, test: predicts_one_class}
  - statement: It is as good
    source: theory
    cells: {init: zero_normal}
    test: non_inferior
    reference: {init: default}
    margin: 5
  - statement: It is 50%
    source: 'a paper | its figure'
    cells: {init: default}
    test: non_inferior
    reference: 50
    margin: 90
  - {statement: One by one, source: theory, cells: {init: zero_normal}, test: wakes_in_order, order: [output, hidden1]}
"""


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the command in this process: its exit code and its output."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["zeroinit-results", *words])
        code = 0
        try:
            cli.results()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capfd.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def results_page(zeroinit: Callable[..., Any], results: Callable[..., tuple[int, str]], database: Path) -> str:
    """The page of results of a sweep of the user's own, whose table is in kept/table.csv."""
    Path("own").mkdir()
    Path("own/mine.yaml").write_text(SWEEP)
    assert zeroinit("-cd", "own", "-cn", "mine").code == 0
    code, said = results("mine", "--files", "own", "--table", "kept/table.csv")
    assert (code, said) == (0, "6 runs in kept/table.csv, pages in docs/results\n")
    return Path("docs/results/mine.md").read_text()


def test_the_claims_of_a_table_are_judged_as_the_sweep_judged_them(results_page: str) -> None:
    tracker = Mlflow(None)
    tracker.find("mine")
    content = tracker.read_summary("claims.csv")
    assert content
    judged = list(csv.DictReader(io.StringIO(content.decode())))
    assert [row["verdict"] for row in judged[:1]] == ["supported"]
    sweep = load("mine")
    assert list(sweep.claims["verdict"]) == [row["verdict"] for row in judged]
    assert list(sweep.claims["finding"]) == [row["finding"] for row in judged]
    assert sweep.answer[0] == f"Supported: All zero stays. I{judged[0]['finding'][1:]}, n = 2."
    for row in judged:  # the page says of each claim what the sweep's own report said, with the runs' own numbers
        finding = f": {row['finding']}, n = {mark_n(int(row['n']), row['counted'])}." if row["finding"] else ""
        start = results_page.index(f": {row['statement']}. Source: {row['source']}.\n")
        comparison = " ".join(results_page[start:].splitlines()[1].split())
        assert comparison.startswith(f"- **{row['verdict']}**: {row['compared'].replace('|', ' or ')}{finding}")


def test_results_have_the_question_the_cells_and_the_conditions(results_page: str) -> None:
    assert str(Path.cwd()) not in results_page + Path("kept/table.csv").read_text()
    assert "# mine\n\nDo zero weights learn the digits?\n" in results_page
    assert re.search(
        r"^\| zero \| 2† \| - \| \d+\.\d\d, \d+\.\d\d \| -\d+\.\d\d, -\d+\.\d\d \| stuck-at-prior \|$",
        results_page,
        re.MULTILINE,
    )
    assert re.search(r"^\| default \| 2 \| 50 \| ", results_page, re.MULTILINE)
    assert "\n\n† The init draws nothing: n counts batch orders.\n\n" in results_page
    assert "dataset=digits" in results_page
    assert "float32 (native)" in results_page
    assert re.search(r"lr=0\.001`\n- (cpu|cuda:0) \(.+\), .+ kernels, torch \d", results_page)


def test_results_need_no_store_and_grow_with_it(
    results_page: str, zeroinit: Callable[..., Any], results: Callable[..., tuple[int, str]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where no store is
        assert results("--files", "own", "--table", "kept/table.csv")[0] == 0
    assert Path("docs/results/mine.md").read_text() == results_page
    assert zeroinit("-cd", "own", "-cn", "mine", "seed=2").code == 0
    assert results("mine", "--files", "own", "--table", "kept/table.csv")[1].startswith("9 runs in ")
    assert re.search(r"^\| zero \| 3† \| - \| \d+\.\d\d ± ", Path("docs/results/mine.md").read_text(), re.MULTILINE)
    tracker = Mlflow(None)
    tracker.find("mine")
    params = next(record.params for record in tracker.records() if record.params["init"] == "zero")
    tracker.begin_summary({MANIFEST_FILE: Manifest("", "", [("cut-short-2", "another", params)]).to_json()})
    assert results("mine", "--files", "own", "--table", "kept/table.csv")[1].startswith("10 runs in ")
    assert "| 0 | - | - | - | not run |" in Path("docs/results/mine.md").read_text()


def row(sweep: str, seed: int, accuracy: float, size: str = "paper", init: str = "default") -> dict[str, str]:
    return {
        **{"sweep": sweep, "size": size, "identity": f"{init}{seed}-data-1", "status": "FINISHED", "cell_hash": init},
        **{"arch": "fnn", "init": init, "bias_scale.value": "1", "seeds.init": str(seed), "seeds.split": "0"},
        **{"dataset": "mnist", "dtype": "float32", "arithmetic": "native", "steps_taken": "5", "train_seconds": "7200"},
        **{
            "stack_size": "2",
            "device": "cpu",
            "version.torch": "2",
            "test/accuracy": repr(accuracy),
            "outcome": "learns",
        },
    }


CLAIM = {
    **{
        "statement": "So it is",
        "source": "here",
        "cells": {"init": "default"},
        "test": "non_inferior",
        "reference": 90,
    },
    **{"margin": 1, "size": "paper"},
}


def write(rows: list[dict[str, str]], sweeps: dict[str, SweepFile], page: str = "a.md") -> str:
    """Return a page of the rows."""
    return format_pages(rows, sweeps, {})[page]


def test_a_page_by_hand() -> None:
    """90 and 92% are 1 ± 12.71 points above 90: Student's t is 12.706 for n = 2, the standard deviation sqrt(2).

    Two in a stack: 2 hours.
    """
    rows = [row("figure10", 0, 0.9), row("figure10", 1, 0.92), row("figure9", 0, 0.5, size="small")]
    sweeps = {name: SweepFile("Why?", parse_claims([CLAIM])) for name in ("figure9", "figure10")}
    pages = format_pages(merge_rows([], rows), sweeps, {"figure10": ["../figures/figure10.png"]})
    assert list(pages) == ["index.md", "figure9.md", "figure10.md"]
    page = pages["figure10.md"]
    assert page.startswith(
        "# figure10\n\nWhy?\n\n![Figure of figure10](../figures/figure10.png)\n\n[How to read these numbers]("
    )
    assert "\n- Undetermined: So it is. Source: here.\n    - **undetermined**: init=default against 90%: " in page
    assert ": 1.00 ± 12.71 points ahead of 90%, claimed: at most 1 behind, n = 2. To decide: " in " ".join(page.split())
    assert page.index("- Undetermined") < page.index("| 2 | 90 | 90.00, 92.00 | learns |")
    assert "- 2 runs, 2 hours" in page
    index = pages["index.md"]
    assert (
        "1 comparisons: 0 supported, 0 refuted, 1 undetermined. They rest on 3 archived runs." in index
    )  # one is small
    assert "**[figure10](figure10.md)**: Why?\n\n- Undetermined: So it is. 1.00 ± 12.71 points ahead of 90%, " in index
    assert index.index("## At the paper's scale") < index.index("(figure10.md)") < index.index("## On less data")
    assert index.index("## On less data") < index.index("**[figure9](figure9.md)** (small): Why?")


def test_the_pages_of_this_repository_are_those_of_its_table() -> None:
    """`zeroinit-results` without words writes them."""
    rows = read_table(DOCS / "results.csv")
    files = {each["sweep"]: read_sweep_file(SWEEPS / f"{each['sweep']}.yaml") for each in rows}
    pages = format_pages(rows, files, {name: cli._find_figures(DOCS / "results", name) for name in files})
    assert pages == {path.name: path.read_text() for path in (DOCS / "results").glob("*.md")}


def test_a_newer_run_replaces_an_older_run_of_its_config() -> None:
    rows = merge_rows([row("a", 0, 0.1), row("a", 1, 0.2)], [row("a", 1, 0.3), row("b", 1, 0.4)])
    assert [(run["sweep"], run["seeds.init"], run["test/accuracy"]) for run in rows] == [
        ("a", "0", "0.1"),
        ("a", "1", "0.3"),
        ("b", "1", "0.4"),
    ]
    Path("table.csv").write_bytes(format_table(rows))
    assert merge_rows(read_table(Path("table.csv")), []) == rows
    due = row("b", 1, 0.4) | {"identity": "default1-changed-1", "status": "not run"}
    assert merge_rows(rows, [row("b", 1, 0.4) | {"status": "not run"}]) == rows
    assert merge_rows(rows, [due | {"identity": "default1"}]) == rows  # as planned before there were identities
    assert merge_rows(rows, [due])[-1] == due


def of_version_2(old: dict[str, str]) -> dict[str, str]:
    """The same run by the next version of the training code, in which the hash of its cell is another."""
    return old | {"identity": old["identity"][:-1] + "2", "cell_hash": old["cell_hash"] + "2"}


def test_a_newer_version_replaces_an_older_one_when_all_of_its_cells_are_there() -> None:
    old = [row("a", seed, 0.5, init=init) for init in ("default", "zero") for seed in (0, 1)]
    new = [of_version_2(each) for each in old]
    for count in range(len(new)):
        assert len(merge_rows(old, new[:count])) == len(old) + count  # nothing is lost to a part of the newer runs
    assert {each["identity"][-1] for each in merge_rows(old, new)} == {"2"}
    assert {each["identity"][-1] for each in merge_rows(merge_rows(old, new[:3]), new[3:])} == {"2"}
    unfinished = [*new[:3], new[3] | {"status": "FAILED"}]
    assert len(merge_rows(old, unfinished)) == 8
    others = [*new[:3], new[3] | {"device": "cuda:0 (H)"}]
    assert len(merge_rows(old, others)) == 8  # a run on another device covers no run of this one
    assert len(merge_rows(old, [each | {"size": "small"} for each in new])) == 8  # nor does another size
    assert len(merge_rows(new, old)) == 4  # older runs that come later are replaced at once


def test_new_columns_of_the_table_do_not_hide_that_cells_are_covered() -> None:
    old = [row("a", 0, 0.5)]
    new = of_version_2(old[0]) | {"cpu": "a processor", "schedule": "constant"}
    assert merge_rows(old, [new]) == [new]
    several = [row("a", 0, 0.5), row("a", 1, 0.5) | {"dataset.resize": "null"}]  # a key that is new in the second row
    newer = [of_version_2(each) | {"dataset.resize": "null", "schedule": "constant"} for each in several]
    assert merge_rows(several, newer) == newer
    assert len(merge_rows(several, newer[:1])) == 3  # the two older runs are of one cell
    others = [each | {"dataset.resize": "8"} for each in newer]
    assert len(merge_rows(several, others)) == 4
    old_key = [row("a", 0, 0.5) | {"arch.old_key": "1"}]  # which the newer version has no more
    assert merge_rows(old_key, [new]) == [new]


def test_the_page_labels_older_versions_and_counts_newer_runs_that_wait() -> None:
    old = [row("a", seed, 0.5) for seed in (0, 1)]
    newer = of_version_2(row("a", 0, 0.75)) | {"cpu": "AMD EPYC", "cpu_capability": "AVX2"}
    sweeps = {"a": SweepFile("Why?", [])}
    page = write(merge_rows(old, [newer]), sweeps)
    assert "Version 1 of the training code" in page
    assert "not in this table: 1." in page
    assert "75.00" not in page
    page = write(merge_rows(old, [newer, newer | {"seeds.init": "1", "identity": "default1-data-2"}]), sweeps)
    assert "Version 1" not in page
    assert "not in this table" not in page
    assert "75.00" in page
    assert "cpu, AMD EPYC, AVX2 kernels, torch 2" in page


def test_no_finished_run_is_lost_to_one_that_is_not() -> None:
    there, again = row("a", 0, 0.9), row("a", 0, 0.1) | {"status": "KILLED"}
    assert merge_rows([there], [again]) == merge_rows([again], [there]) == [there]


def test_a_cell_has_no_runs_of_data_that_have_changed() -> None:
    """Of a split; another split's are others anyway."""
    old, split = [row("a", seed, 0.9) for seed in (0, 1)], row("a", 2, 0.9) | {"seeds.split": "1"}
    new = row("a", 3, 0.5) | {"identity": "default3-changed-1"}
    assert [run["seeds.init"] for run in merge_rows([*old, split], [new])] == ["2", "3"]


def test_nothing_is_compared_across_devices() -> None:
    claim = {
        "statement": "So",
        "cells": {"init": "zero"},
        "test": "superior",
        "reference": {"init": "default"},
        "margin": 0,
    }
    rows = [
        row("a", seed, share + seed / 100, init=init)
        | {"device": device, "cell_hash": init + device, "identity": f"{init}{seed}{device[:3]}-data-1"}
        for init, device, share in (
            ("zero", "cpu (x86)", 0.6),
            ("default", "cpu (x86)", 0.5),
            ("zero", "cuda:0 (H)", 0.4),
        )
        for seed in (0, 1)
    ]
    page = write(merge_rows([], rows), {"a": SweepFile("Why?", parse_claims([claim]))})
    assert "**supported**: init=zero against init=default" in page
    assert "| cuda |" in page


def test_cells_are_compared_with_the_reference_of_the_sweeps_file() -> None:
    """40 and 42% minus 60 and 61%: -20 and -19 points, as the table of the command has them."""
    Path("a.yaml").write_text("# Why?\nreference: zero\n")
    shares = {"default": (0.4, 0.42), "zero": (0.6, 0.61)}
    rows = [
        row("a", seed, share, init=init) | {"cell_hash": init, "identity": f"{init}{seed}-data-1"}
        for init, of_seeds in shares.items()
        for seed, share in enumerate(of_seeds)
    ]
    page = write(merge_rows([], rows), {"a": read_sweep_file(Path("a.yaml"))})
    assert "| init | n | ours | minus zero | outcome |" in page
    assert "| default | 2 | 40.00, 42.00 | -20.00, -19.00 | learns |" in page
    assert "| zero | 2 | 60.00, 61.00 |  | learns |" in page
    assert "minus default" in write(merge_rows([], rows), {"a": SweepFile("Why?", [])})


def test_missing_runs_leave_a_claim_undetermined() -> None:
    """What holds of every run is not supported as long as some have not run."""
    claim = {"statement": "So", "cells": {"init": "default"}, "test": "does_not_learn"}
    there = row("a", 0, 0.1) | {"outcome": "symmetric"}
    missing = row("a", 1, 0.1, size="") | {"status": "not run", "test/accuracy": "", "outcome": ""}
    said = [
        write(merge_rows([], rows), {"a": SweepFile("Why?", parse_claims([claim]))})
        for rows in ([there], [there, missing])
    ]
    assert ["- Supported: So." in said[0], "- Undetermined: So." in said[1]] == [True, True]
    assert "| symmetric |" in said[0]
    assert "| 1 symmetric, 1 not run |" in said[1] or "| 1 not run, 1 symmetric |" in said[1]


def test_bad_input_is_refused_in_one_line(results: Callable[..., tuple[int, str]], database: Path) -> None:
    assert results() == (2, "zeroinit-results: --table=docs/results.csv: it has no runs; name a sweep to be added\n")
    code, said = results("nothing")
    assert code == 2
    assert said.startswith("zeroinit-results: nothing: there is no such sweep in sqlite:///")
    Mlflow(None).open("mine")
    code, said = results("mine")
    assert code == 2
    assert re.match(r"zeroinit-results: mine: there is no mine\.yaml in \S+sweeps, which has .* with --files\n", said)
    Path("README.md").write_text("# not a table\n\nwords\n")
    assert results("--table", "README.md")[1].startswith("zeroinit-results: --table=README.md: it is not a table of")
    for text, message in (("a: [", "mine.yaml: line 2 is not YAML"), ("claims: [{statement: so}]", "claims[0]")):
        Path("mine.yaml").write_text(text)
        code, said = results("mine", "--files", ".")
        assert (code, "Traceback" in said, message in said) == (2, False, True), said
    Path("kept").write_text("")
    Path("table.csv").write_bytes(format_table([row("figure3", 0, 0.5)]))
    code, said = results("--table", "table.csv", "--to", "kept/pages")
    assert (code, said) == (2, "zeroinit-results: kept/pages: Not a directory; give files that can be written\n")
