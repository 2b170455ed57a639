"""`zeroinit list` and `zeroinit --version`."""

import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import Ended

from zeroinit import SWEEPS
from zeroinit.__main__ import main
from zeroinit.errors import BadInput
from zeroinit.list_sweeps import describe_sizes

MINE = """\
# Is mine better? 12 runs on 5 points; 3 s.
# size=smoke: 4 runs on 5 points, 1 s of a core; size=paper: 90 runs on 700 points, not timed.
# What else is to say.
defaults: [config]
"""


def test_each_sweep_has_its_question_and_its_times(zeroinit: Callable[..., Ended]) -> None:
    ended = zeroinit("list")
    assert ended.code == 0
    names = re.findall(r"^([a-z]\w+)  ", ended.out, re.MULTILINE)[1:]
    assert names == sorted(path.stem for path in SWEEPS.glob("*.yaml"))
    assert "Can a network with zero weights learn if its biases are random?" in ended.out
    for path in SWEEPS.glob("*.yaml"):  # a sweep without this line would have an empty column
        assert re.match(r"\d+ runs on .*; .*(\d \w+|not timed)", describe_sizes(path)), path


def test_the_sweeps_of_a_folder(zeroinit: Callable[..., Ended]) -> None:
    Path("own").mkdir()
    Path("own/mine.yaml").write_text(MINE)
    assert describe_sizes(Path("own/mine.yaml")).splitlines() == [
        "12 runs on 5 points; 3 s",
        "size=smoke: 4 runs on 5 points, 1 s of a core",
        "size=paper: 90 runs on 700 points, not timed",
    ]
    out = zeroinit("list", "own").out
    assert re.search(r"^mine +Is mine better\? +12 runs on 5 points; 3 s\s*$", out, re.MULTILINE)
    assert out.endswith("Train one with: zeroinit -cd own -cn SWEEP\n")


@pytest.mark.parametrize("words", [("list", "nowhere"), ("list", ".")])
def test_a_folder_without_sweeps(words: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["zeroinit", *words])
    with pytest.raises(BadInput, match=rf"list {re.escape(words[1])}: the folder has no sweep files"):
        main()


def test_the_version_is_ours(zeroinit: Callable[..., Ended]) -> None:
    ended = zeroinit("--version")
    assert ended.code == 0
    assert ended.out.startswith(f"zeroinit {version('zeroinit')} (Python 3.")
    assert f"torch {version('torch')}" in ended.out
