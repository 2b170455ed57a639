"""The README's commands and code, run in its order in one folder; its files are those that start with `# <path>`."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from test_folder import fill

from zeroinit import CONF

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)


def test_it_starts_with_the_two_commands() -> None:
    assert README.splitlines()[2:4] == [
        "    python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/zeroinit -cn quickstart",
        "    .venv/bin/pip install -e '.[test]' && .venv/bin/pytest",
    ]


@pytest.mark.usefixtures("database")
def test_every_command_and_every_block_runs(zeroinit: Callable[..., object], tmp_path: Path) -> None:
    fill(tmp_path / "pictures", each=80)  # the images that the reader has
    ran = []
    for language, text in BLOCKS:
        first = text.splitlines()[0]
        if first.startswith("# "):
            path = tmp_path / first[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif language == "python":
            exec(compile(text, "README.md", "exec"), {})
            ran.append("python")
        else:
            assert language == "sh"
            for command in text.splitlines():
                name, *words = shlex.split(command)
                assert name == "zeroinit"
                ended = zeroinit(*words)
                assert ended.code == 0, f"{command}\n{ended.err}"
                ran.append(command)
    assert len(ran) == 22


def test_the_files_it_names_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target


@pytest.mark.parametrize("group", ["dataset", "arch", "init", "bias_scale", "optimizer", "tracker"])
def test_its_table_of_options_is_complete(group: str) -> None:
    [row] = [line for line in README.splitlines() if line.startswith(f"| `{group}` |")]
    assert {path.stem for path in (CONF / group).glob("*.yaml")} <= set(re.findall(r"`(\w+)`", row))
