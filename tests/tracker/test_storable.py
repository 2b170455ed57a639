"""What a store can never keep is refused before any training, in one sentence, with exit code 2."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Ended
from mlflow import MlflowClient

from zeroinit.probes.metrics import metrics_of_layers
from zeroinit.tracker import reachable
from zeroinit.tracker.mlflow import Mlflow

Command = Callable[..., Ended]
QUICK = ("dataset=digits", "arch=logistic", "steps=2")
ODD = """
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes, name="q@1"):
        super().__init__()
        self.layers = nn.ModuleDict({name: nn.Linear(64, 4), "out": nn.Linear(4, num_classes)})

    def forward(self, inputs):
        for layer in self.layers.values():
            inputs = layer(inputs.flatten(1)).tanh()
        return inputs
"""


def assert_refused(ended: Ended) -> str:
    """The one sentence of a command that was refused, and left no store."""
    assert ended.code == 2, ended.out + ended.err
    [line] = ended.err.splitlines()
    assert ended.out == ""
    return line


@pytest.mark.parametrize("mode", [("seed=0",), ("-m", "seed=0,1"), ("-m", "seed=0,1", "hydra/launcher=basic")])
def test_a_layer_whose_metrics_mlflow_does_not_take(mode: tuple[str, ...], zeroinit: Command) -> None:
    Path("odd_layers.py").write_text(ODD)
    line = assert_refused(zeroinit(*mode, *QUICK, "arch._target_=odd_layers.Net"))
    name = "zeroinit: arch=odd_layers.Net: the tracker takes no metrics of the layer 'layers.q@1'"
    assert line.startswith(f"{name}: Names may only contain alphanumerics, ")
    assert not Path("mlruns/mlflow.db").exists()


def test_the_same_layer_trains_where_nothing_of_it_is_kept(database: Path, zeroinit: Command) -> None:
    Path("odd_layers.py").write_text(ODD)
    for words in (["tracker=off"], ["probe=none"]):
        ended = zeroinit(*QUICK, "arch._target_=odd_layers.Net", *words)
        assert ended.code == 0, ended.err
    [run] = MlflowClient(f"sqlite:///{database}").search_runs(["1"])
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("name", ["q/1", "q 1", "grün", "q" * 200])
def test_a_name_that_mlflow_takes_is_kept_as_it_is(name: str, database: Path, zeroinit: Command) -> None:
    Path("odd_layers.py").write_text(ODD)
    ended = zeroinit(*QUICK, "arch._target_=odd_layers.Net", f"+arch.name='{name}'")
    assert ended.code == 0, ended.err
    [run] = MlflowClient(f"sqlite:///{database}").search_runs(["1"])
    assert f"grad/layers.{name}/norm" in run.data.metrics


def test_a_name_that_is_too_long_for_a_metric(zeroinit: Command) -> None:
    Path("odd_layers.py").write_text(ODD)
    line = assert_refused(zeroinit(*QUICK, "arch._target_=odd_layers.Net", f"+arch.name={'q' * 240}"))
    assert "exceeds the maximum length of 250 characters" in line


@pytest.mark.usefixtures("database")
def test_the_metrics_of_a_run_are_those_that_were_checked(zeroinit: Command) -> None:
    zeroinit("dataset=digits", "arch.hidden=[4]", "arch.activation=tanh", "steps=5", "probe=all")
    [run] = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db").search_runs(["1"])
    known = ("train/", "val/", "test/", "curvature/")
    of_layers = {name for name in run.data.metrics if not name.startswith(known)}
    probes = ("gradient", "first_gradient", "symmetry", "pairs", "weight", "activation", "curvature")
    checked = {metric for _, metric in metrics_of_layers(probes, ["hidden1", "output"])}
    assert of_layers <= checked
    assert {name for name in checked if "hidden1" in name} <= of_layers


def test_a_value_that_mlflow_would_cut(zeroinit: Command) -> None:
    steps = ",".join(map(str, range(2000)))
    line = assert_refused(zeroinit(*QUICK, f"probe.curvature=[{steps}]"))
    assert line.startswith("zeroinit: probe.curvature=[0, 1, 2")
    assert line.endswith("...: the value has 10890 characters; MLflow keeps 6000 at most")


def test_names_that_a_database_does_not_tell_apart() -> None:
    names = {"arch.Width": "1", "arch.width": "2"}
    assert Mlflow("sqlite:///x.db").refuses(names) is None
    assert Mlflow("postgresql://host/x").refuses(names) is None
    name, reason = Mlflow("mysql+pymysql://host/x").refuses(names) or ("", "")
    assert (name, "same as arch.Width" in reason) == ("arch.width", True)


def test_text_that_no_database_takes() -> None:
    for bad in ("\0", "\udcff"):
        assert Mlflow(None).refuses({"arch.name": f"a{bad}b"}) == (
            "arch.name",
            f"MLflow cannot keep the character {bad!r}; leave it out",
        )


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("a" * 300, "the name has 300 bytes, and a folder is named after it; give 255 at most"),
        ("零" * 100, "the name has 300 bytes, and a folder is named after it; give 255 at most"),
        ("..", "no folder can have this name; give a name with a letter or a digit"),
        ("a\tb", "the name has the character '\\t'; give letters, digits, spaces and punctuation"),
    ],
)
def test_a_sweep_that_can_have_no_folder(sweep: str, said: str, zeroinit: Command) -> None:
    shown = " ".join(sweep[:60].split()) + ("..." if len(sweep) > 80 else "")
    assert assert_refused(zeroinit(*QUICK, f"sweep='{sweep}'")) == f"zeroinit: sweep={shown}: {said}"
    assert not Path("mlruns/mlflow.db").exists()


@pytest.mark.usefixtures("database")
def test_a_sweep_of_an_unusual_name(zeroinit: Command) -> None:
    """Of 200 bytes, with blanks, a slash and letters that are not English."""
    name = f"größe a/b {'x' * 186}"
    assert zeroinit(*QUICK, f"sweep='{name}'").code == 0
    assert "It was trained before" in zeroinit(*QUICK, f"sweep='{name}'").out


def test_a_store_whose_folder_cannot_be_made(zeroinit: Command) -> None:
    Path("file").write_text("")
    line = assert_refused(zeroinit(*QUICK, "tracker.uri=sqlite:///file/mlflow.db"))
    assert line.startswith("zeroinit: tracker.uri=sqlite:///file/mlflow.db: ")
    assert line.endswith("give a file in a folder that can be written")


def test_a_store_that_can_only_be_read(database: Path, zeroinit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, who may write anywhere."""
    monkeypatch.setattr(reachable.os, "access", lambda path, mode: False)
    line = assert_refused(zeroinit(*QUICK))
    assert line == (
        f"zeroinit: tracker.uri=sqlite:///mlruns/mlflow.db: the folder {database.parent} cannot be written to; "
        "give a file in another"
    )


def test_a_store_that_another_process_never_unlocks(
    database: Path, zeroinit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeroinit.tracker.connection.WAIT_SECONDS", 0.3)
    monkeypatch.setattr("zeroinit.tracker.waiting.NOTICE_SECONDS", 0.1)
    with closing(sqlite3.connect(database)) as other:
        other.execute("begin immediate")
        ended = zeroinit(*QUICK)
    notice, line = ended.err.splitlines()
    assert ended.code == 2
    assert notice == (
        "zeroinit: sqlite:///mlruns/mlflow.db: the store is being opened (database is locked); the command waits"
    )
    assert line == (
        "zeroinit: tracker.uri=sqlite:///mlruns/mlflow.db: database is locked, and stays so for 0 s; give another "
        "file, or end the process that locks it"
    )


@pytest.mark.usefixtures("database")
def test_files_that_cannot_be_kept(zeroinit: Command) -> None:
    Path("mlruns/artifacts").write_text("")
    line = assert_refused(zeroinit(*QUICK, "sweep=blocked"))
    assert "files cannot be kept in file://" in line
    assert "Not a directory" in line
    assert MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db").get_experiment_by_name("blocked") is None


def test_a_place_for_files_without_its_client_library(
    database: Path, zeroinit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("boto3", "botocore"):
        monkeypatch.setitem(sys.modules, library, None)
    MlflowClient(f"sqlite:///{database}").create_experiment("cloud", "s3://bucket/runs")
    line = assert_refused(zeroinit(*QUICK, "sweep=cloud"))
    assert "files cannot be kept in s3://bucket/runs (" in line
    assert "ModuleNotFoundError: " in line
    assert "boto" in line


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("postgresql://me:pass/word@127.0.0.1:1/db", "no database answers there within 10 s ("),
        ("mysql+pymysql://me:word@127.0.0.1:99999/db", "no database answers there within 10 s ("),
        ("sqlite:///x.db?timeout=5", "SQLite takes no options here; give sqlite:///FILE.db without ?"),
        ("postgresql://me:word@127.0.0.1:port/db", "it is no address of a database; give it as DIALECT://HOST:PORT/"),
        ("http://me:wo rd/x@127.0.0.1:9", "it is no address of a server; give it as http(s)://HOST:PORT"),
    ],
)
def test_an_address_of_a_database_that_cannot_be_reached(uri: str, reason: str) -> None:
    said = reachable.unreachable_reason(uri)
    assert said
    assert said.startswith(reason)
    assert "word" not in said.replace("password", "")
