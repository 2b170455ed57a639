"""The pages' commands and code, run in their order in one folder; their files are those that start with `# <path>`.

A command that is to end with another code than 0 says so behind itself: `# exit code 1`.
"""

import importlib
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import joblib
import pytest
from conftest import Ended
from helpers.pictures import fill

from zeroinit import CONF, SWEEPS
from zeroinit.config.target import resolve_cached
from zeroinit.report.cli import main as report

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = ["README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md")))]
FENCES = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)

Command = Callable[..., Ended]


def submitted(**settings: object) -> SimpleNamespace:
    """In the place of submitit's executor: its jobs run in this process."""

    def map_array(function: Callable[..., object], *columns: Sequence[object]) -> list[SimpleNamespace]:
        return [SimpleNamespace(results=partial(list, [function(*job)])) for job in zip(*columns, strict=True)]

    return SimpleNamespace(update_parameters=lambda **settings: None, map_array=map_array)


@pytest.fixture
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other launchers start no processes, which take 10 s each: test_ecosystem.py has them do so."""
    monkeypatch.setattr("submitit.AutoExecutor", submitted)
    monkeypatch.setattr("submitit.JobEnvironment", lambda: SimpleNamespace(job_id="0"))
    begin = joblib.Parallel.__init__
    monkeypatch.setattr(joblib.Parallel, "__init__", lambda self, **settings: begin(self, **settings | {"n_jobs": 1}))


@pytest.fixture
def commands(zeroinit: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """What a page may type: `zeroinit` and `zeroinit-report`, in this process."""

    def command(name: str, *words: str) -> Ended:
        if name == "zeroinit":
            return zeroinit(*words)
        assert name == "zeroinit-report"
        monkeypatch.setattr(sys, "argv", [name, *words])
        code = 0
        try:
            report()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capfd.readouterr()
        return Ended(code, captured.out, captured.err)

    return command


def write(text: str) -> None:
    """A page's file, in the current folder; a module that was imported is forgotten, as by a new process."""
    path = Path(text.splitlines()[0].removeprefix("# "))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    sys.modules.pop(path.stem, None)
    importlib.invalidate_caches()
    resolve_cached.cache_clear()


def run_blocks(page: str, commands: Command) -> list[str]:
    """Run all blocks of a page in the current folder; returns the commands, and `python` for code that is no file."""
    ran = []
    for language, text in FENCES.findall((ROOT / page).read_text()):
        if not language:  # what a command prints
            continue
        if text.startswith("# "):
            write(text)
        elif language == "python":
            exec(compile(text, page, "exec"), {})
            ran.append("python")
        else:
            assert language == "sh"
            for line in text.splitlines():
                command, _, code = line.partition("  # exit code ")
                ended = commands(*shlex.split(command))
                assert ended.code == int(code or 0), f"{command}\n{ended.err}"
                ran.append(command)
    return ran


def test_it_starts_with_the_two_commands_of_ci() -> None:
    first, second = README.splitlines()[2:4]
    assert first == "    python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/zeroinit -cn quickstart"
    assert second == "    .venv/bin/pip install -e '.[test]' && .venv/bin/pytest"
    script = (ROOT / "dev").read_text().replace('"$bin/pytest"', ".venv/bin/pytest").replace("install -q", "install")
    assert all(part in script for part in (*first.strip().split(" && "), *second.strip().split(" && ")))


# those of docs/laboratory.md take minutes each: test_laboratory.py runs their sweeps' first and last jobs
@pytest.mark.usefixtures("database", "_one_process")
@pytest.mark.parametrize(("page", "count"), [("README.md", 30), ("docs/tutorial.md", 9)])
def test_every_command_and_every_block_runs(page: str, count: int, commands: Command, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", each=80)  # the images that the reader has
    assert len(run_blocks(page, commands)) == count


@pytest.mark.parametrize("page", PAGES)
def test_the_sweeps_and_files_it_names_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    user_files = {Path(name).stem for name in re.findall(r"^# own/(\w+\.yaml)$", text, re.M)}
    for options, name in re.findall(r"zeroinit (-cd own )?-cn (\w+)", text):
        assert name in user_files if options else (SWEEPS / f"{name}.yaml").exists(), name
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", text):
        file = (ROOT / page).parent / target if target else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text()), f"{target}#{anchor}"


def anchors(text: str) -> set[str]:
    """GitHub's names of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", FENCES.sub("", text), re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("group", ["dataset", "arch", "init", "bias_scale", "optimizer", "tracker", "size"])
def test_its_table_of_options_is_complete(group: str) -> None:
    [row] = [line for line in README.splitlines() if line.startswith(f"| `{group}` |")]
    assert {path.stem for path in (CONF / group).glob("*.yaml")} <= set(re.findall(r"`(\w+)`", row))
