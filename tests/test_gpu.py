"""benchmarks/gpu.py at its smallest on a CPU, on a machine that has neither Hydra nor MLflow."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "gpu.py"
MISSING = ("hydra", "omegaconf", "mlflow", "mlxtend", "sqlalchemy")
BLOCK = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MISSING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine without the packages of MISSING."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCK)
    # Hydra brings a plugin of pytest, which is installed here
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def test_what_trains_imports_neither_hydra_nor_mlflow(bare: dict[str, str]) -> None:
    modules = "zeroinit.sweep.runner, zeroinit.report.archive, zeroinit.tracker.memory"
    code = f"import {modules}, sys; print(sorted({set(MISSING)} & {{name.partition('.')[0] for name in sys.modules}}))"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, env=os.environ | bare, capture_output=True, text=True, check=False)
    assert (ended.stdout.strip(), ended.returncode) == ("[]", 0), ended.stderr


def test_missing_data_are_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from gpu_parts.data import find_data

    with pytest.raises(SystemExit) as end:
        find_data(tmp_path)
    assert str(end.value).startswith(f"gpu.py: --data={tmp_path}: put MNIST/raw/ with its four idx files")
    assert "cifar10-jpeg" in str(end.value)
    assert "\n" not in str(end.value)


@pytest.mark.smoke
def test_the_smallest_run_of_all_parts(tmp_path: Path, bare: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is complete, a second call does none again, and the runs are rows of the table of results."""
    jobs, out, table = tmp_path / "jobs.json", tmp_path / "out", tmp_path / "results.csv"
    written = run("--smoke", "--write-jobs", str(jobs))
    assert written.returncode == 0, written.stderr
    words = ["--smoke", "--minutes", "30", "--jobs", str(jobs), "--out", str(out)]
    first = run(*words, **bare)
    assert first.returncode == 0, first.stderr
    state = json.loads((out / "state.json").read_text())
    assert {name: ended["status"] for name, ended in state.items()} == dict.fromkeys(
        ["kernels", "images", "tests", "outcomes", "speed", "paper"], "complete"
    ), first.stdout + first.stderr
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.name != "summary.md"}
    assert len(before) < 8
    assert "passed" in before["tests.txt"].decode()
    assert all(json.loads(line)["same"] for line in before["outcomes.jsonl"].splitlines())
    assert run(*words, **bare).returncode == 0
    assert before == {path.name: path.read_bytes() for path in out.iterdir() if path.name != "summary.md"}
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from gpu_parts.collect import collect

    collect(out, table)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert {(row["sweep"], row["size"], row["init"], row["status"]) for row in rows} == {
        ("figure5", "smoke", init, "FINISHED") for init in ("default", "zero_normal", "zero_uniform")
    }
    assert all(float(row["test/accuracy"]) > 0 and row["device"] and row["identity"] for row in rows)
