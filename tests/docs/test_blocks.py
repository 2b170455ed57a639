"""The commands and the code of each page, run in their order in one folder.

A command that is to end with another code than 0 says so behind itself: `# exit code 1`. Pages that print results run
as they are, and what they print is compared but for its numbers. Other pages run with fewer steps and seeds.
"""

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
from helpers.pages import PAGES, blocks_of, write_file
from helpers.pictures import fill

from zeroinit.report.cli import main as report

Command = Callable[..., Ended]
WHOLE = ("README.md", "docs/tutorial.md", "docs/how-to/check.md")  # at their own size, with their output compared
WITH_BLOCKS = [page for page in PAGES if any(block.language for block in blocks_of(page))]
NUMBER = re.compile(r"\d[\d,.e-]*|[†‡]|\s+")


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


def shrink(command: str) -> str:
    """Return the command with at most 10 steps, 2 seeds and 200 images of a convolutional net."""
    command = re.sub(r"\bsteps=(\d+)", lambda match: f"steps={min(10, int(match[1]))}", command)
    command = re.sub(r"seed='range\((\d+)\)'", lambda match: f"seed='range({min(2, int(match[1]))})'", command)
    return command.replace("steps=10", "steps=1 dataset.max_examples=200") if "arch=cifar_cnn" in command else command


def normalise(line: str) -> str:
    """Return a printed line without its numbers, its spaces and the folder of the store."""
    return NUMBER.sub("", re.sub(r"file://\S*/mlruns", "file:///mlruns", line))


def assert_prints(command: str, ended: Ended, expected: str) -> None:
    """Each expected line is printed, in this order, but for its numbers, and for the outcomes of a table's row.

    A page may break a long line.
    """
    printed = "".join(normalise(line) for line in (ended.out + ended.err).splitlines())
    for line in filter(None, expected.splitlines()):
        row = re.fullmatch(r"(.*±.*  +)[^±]*-[a-z]+|(.*±.*  +)[^±]*learned", line)
        words = normalise((row[1] or row[2]) if row else line)
        _, is_printed, printed = printed.partition(words)
        assert is_printed, f"{command}\nprints no line such as\n{line}"


def run_blocks(page: str, commands: Command) -> list[str]:
    """Run all blocks of a page in the current folder; return the commands, and `python` for code that is no file."""
    ran = []
    ended = Ended(0, "", "")
    for block in blocks_of(page):
        if not block.language:
            if page in WHOLE:
                assert_prints(ran[-1], ended, block.text)
        elif block.path:
            write_file(block)
        elif block.language == "python":
            exec(compile(block.text, page, "exec"), {})
            ran.append("python")
        else:
            assert block.language == "sh"
            for line in block.text.splitlines():
                command, _, code = line.partition("  # exit code ")
                ended = commands(*shlex.split(command if page in WHOLE else shrink(command)))
                assert ended.code == int(code or 0), f"{command}\n{ended.err}"
                ran.append(command)
    return ran


@pytest.mark.usefixtures("database", "_one_process")
@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_every_command_and_every_block_runs(page: str, commands: Command, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", each=80)  # the images that the reader has
    lines = [line for block in blocks_of(page) if block.language == "sh" for line in block.text.splitlines()]
    code = [block for block in blocks_of(page) if block.language == "python" and not block.path]
    assert len(run_blocks(page, commands)) == len(lines) + len(code) > 0


def test_the_pages_have_their_blocks() -> None:
    """No page loses its blocks to a typing error in a fence."""
    assert {"README.md", "docs/tutorial.md", "docs/how-to/in-class.md", "docs/reference/files.md"} <= {*WITH_BLOCKS}
    assert len(WITH_BLOCKS) >= 14
