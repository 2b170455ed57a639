"""What the tables of a database tell of a sweep against what MLflow's own client does."""

import time
from pathlib import Path

import pytest
from helpers.stored_runs import end
from mlflow import MlflowClient

from zeroinit.errors import BadInput, StoreFailed
from zeroinit.tracker import Record, mlflow_client, mlflow_sql
from zeroinit.tracker.mlflow import Mlflow

METRICS = [("test/accuracy", 0.1, 0), ("grad/hidden1/norm", 0.5, 1), ("grad/hidden1/norm", 0.25, 2)]
LATER = [("test/accuracy", 0.9, 2), ("grad/hidden1/norm", 0.125, 10), ("train/loss", 1.8e308, 2)]


def keep(tracker: Mlflow, sweep: str, seeds: int) -> None:
    tracker.open(sweep)
    for seed in range(seeds):
        record = Record(
            f"run {seed}", {"seeds.init": str(seed), "empty": ""}, {"config_hash": str(seed)}, started=1 + seed
        )
        tracker.claim([record])
        record.metrics += METRICS
        tracker.write_progress([record])
        record.metrics += LATER
        record.status = "FAILED" if seed == 2 else "FINISHED"
        end(tracker, record)
    tracker.write_summary({"summary.csv": b"n"}, anew=True)


@pytest.fixture
def tracker(database: object) -> Mlflow:
    """Of a sweep of four runs, one of which MLflow's UI has deleted, beside another sweep."""
    keep(Mlflow(None), "other", 1)
    keep(Mlflow(None), "two", 4)
    tracker = Mlflow(None)
    tracker.find("two")
    tracker.client.delete_run(tracker.records()[1].run_id)
    return tracker


def test_the_tables_tell_what_the_client_tells(tracker: Mlflow) -> None:
    ours, places = tracker.records(), dict(tracker.artifact_uris)
    slowly = mlflow_client.records(tracker.client, tracker.experiment_id, "run")
    assert [record.name for record in ours] == ["run 3", "run 1", "run 0"]

    def as_tuple(record: Record) -> object:
        run = (record.name, record.run_id, record.status, record.started, record.params, record.tags)
        return *run, sorted(record.metrics)

    assert [as_tuple(record) for record in ours] == [as_tuple(record) for record, _ in slowly]
    assert places == dict(tracker.artifact_uris)


def test_courses_are_those_of_the_client(tracker: Mlflow) -> None:
    metrics = ["test/accuracy", "grad/hidden1/norm", "nothing"]
    ours = tracker.records()
    tracker.load_histories(ours, metrics)
    tracker.is_database = False
    slowly = [record for record, _ in mlflow_client.records(tracker.client, tracker.experiment_id, "run")]
    tracker.load_histories(slowly, metrics)
    assert [sorted(record.metrics) for record in ours] == [sorted(record.metrics) for record in slowly]
    assert ours[0].history("grad/hidden1/norm") == {1: 0.5, 2: 0.25, 10: 0.125}
    assert list(ours[0].history("train/loss")) == [2]  # the last of each other


@pytest.mark.parametrize(("is_database", "max_in"), [(True, 1000), (True, 1), (False, 1000)])
def test_finished_runs_are_found_by_their_identity(
    is_database: bool, max_in: int, tracker: Mlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they are more than one IN (...) may list."""
    monkeypatch.setattr(mlflow_sql, "MAX_IN", max_in)
    for name, status in (("a", "FINISHED"), ("b", "FAILED"), ("c", "FINISHED")):
        record = Record(name, {"seeds.init": "0"}, {"identity": name, "config_hash": name})
        tracker.claim([record])
        record.status = status
        end(tracker, record)
    tracker.is_database = is_database
    for identities, expected in (({"a", "b"}, ["a"]), ({"c"}, ["c"]), ({"b"}, []), (set(), [])):
        assert [record.name for record in tracker.find_finished(identities)] == expected


def test_a_summary_is_made_anew_or_added_to(tracker: Mlflow) -> None:
    assert tracker.read_summary("summary.csv")
    tracker.write_summary({"more.txt": b"more"}, anew=False)
    assert tracker.read_summary("more.txt") == b"more"
    assert tracker.read_summary("summary.csv")
    tracker.write_summary({"only.txt": b"only"}, anew=True)
    assert tracker.read_summary("summary.csv") is None
    assert len(tracker.find_kind("summary")) == 1


def test_a_summary_of_a_sweep_that_still_trains_stays_running(tracker: Mlflow) -> None:
    """A report adds its files to it meanwhile."""
    tracker.begin_summary({"sweep.json": b"jobs"})
    report = Mlflow(None)
    report.open(tracker.sweep)
    report.write_summary({"report.html": b"page"}, anew=False)
    assert tracker.read_summary("report.html") == b"page"
    assert [summary.status for summary in tracker.find_kind("summary")] == ["RUNNING", "FINISHED"]
    tracker.write_summary({"summary.csv": b"table"}, anew=True)
    assert [summary.status for summary in tracker.find_kind("summary")] == ["FINISHED"]
    assert tracker.read_summary("report.html") == b"page"


def test_a_summary_that_is_begun_leaves_the_last_until_it_is_done(tracker: Mlflow) -> None:
    tracker.begin_summary({"sweep.json": b"asked"})
    assert [record.status for record in tracker.find_kind("summary")] == ["RUNNING", "FINISHED"]
    assert tracker.read_summary("sweep.json") == b"asked"
    assert [tracker.read_file(record, "summary.csv") for record in tracker.find_kind("summary")] == [None, b"n"]
    tracker.write_summary({"summary.csv": b"new"}, anew=True)
    assert [tracker.read_file(record, "summary.csv") for record in tracker.find_kind("summary")] == [b"new"]
    assert [record.status for record in tracker.find_kind("summary")] == ["FINISHED"]


def test_what_a_person_wrote_of_a_sweep_stays(tracker: Mlflow) -> None:
    def note() -> str | None:
        return tracker.client.get_experiment(tracker.experiment_id).tags.get("mlflow.note.content")

    for text in ("why", "how"):
        tracker.describe(text)
        assert note() == text
    tracker.client.set_experiment_tag(tracker.experiment_id, "mlflow.note.content", "mine")
    tracker.describe("why")
    assert note() == "mine"


@pytest.mark.parametrize(
    ("uri", "sweep", "said"),
    [
        (None, "tow", "tow: there is no such sweep in sqlite:///mlruns/mlflow.db; its sweeps are two, other"),
        (
            "sqlite:///nowhere.db",
            "two",
            "tracker.uri=sqlite:///nowhere.db: there is no such file; give the one in which",
        ),
    ],
)
def test_a_sweep_that_is_not_there(uri: str | None, sweep: str, said: str, tracker: Mlflow) -> None:
    with pytest.raises(BadInput) as raised:
        Mlflow(uri).find(sweep)
    assert str(raised.value).startswith(said)
    assert {experiment.name for experiment in MlflowClient(tracker.uri).search_experiments()} == {
        "Default",
        "two",
        "other",
    }


def test_a_summary_that_another_command_replaces_is_begun_again(
    tracker: Mlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two commands of a sweep end at once, and each removes the older summaries."""
    monkeypatch.setattr("zeroinit.tracker.waiting.RETRY_SECONDS", 0)
    tracker.begin_summary({"sweep.json": b""})
    real, calls = tracker.client.update_run, []

    def update_run(run_id: str, *rest: object) -> None:
        calls.append(run_id)
        if len(calls) == 1:
            tracker.client.delete_run(run_id)
        real(run_id, *rest)

    monkeypatch.setattr(tracker.client, "update_run", update_run)
    tracker.write_summary({"summary.csv": b"mine"}, anew=True)
    [summary] = tracker.find_kind("summary")
    assert (summary.status, summary.run_id) == ("FINISHED", calls[-1])
    assert tracker.read_summary("summary.csv") == b"mine"
    assert calls[0] != calls[-1]


@pytest.mark.parametrize("commits", [True, False])
def test_metrics_that_are_sent_again_are_in_the_store_once(
    commits: bool, tracker: Mlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the client: the second batch of 1500 points fails; the store may have taken it, and the answer is lost."""
    tracker.is_bulk = False
    record = Record("run", {"seeds.init": "0"}, {"config_hash": "x"})
    tracker.claim([record])
    record.metrics += [("train/loss", 0.5, step) for step in range(1500)]
    real, calls = tracker.client.log_batch, []

    def log_batch(run_id: str, **what: object) -> None:
        calls.append(what)
        if len(calls) != 2 or commits:
            real(run_id, **what)
        if len(calls) == 2:
            raise OSError("no answer")

    monkeypatch.setattr(tracker.client, "log_batch", log_batch)
    with pytest.raises(StoreFailed, match="no answer"):
        tracker.write_progress([record])
    record.metrics.append(("test/accuracy", 0.5, 1500))
    record.status = "FINISHED"
    time.sleep(0.002)  # so that the clock has another millisecond
    end(tracker, record)
    [stored] = [stored for stored in tracker.records() if stored.name == "run"]
    history = tracker.client.get_metric_history(stored.run_id, "train/loss")
    assert sorted(point.step for point in history) == list(range(1500))


def test_two_commands_may_make_the_same_experiment(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server or another database than SQLite, neither sees the other in time."""
    first, second = Mlflow(None), Mlflow(None)
    find, answers = second.client.get_experiment_by_name, [None]
    monkeypatch.setattr(second.client, "get_experiment_by_name", lambda name: answers.pop() if answers else find(name))
    first.open("same")
    second.open("same")
    assert answers == []
    assert (second.experiment_id, second.artifact_root) == (first.experiment_id, first.artifact_root)
