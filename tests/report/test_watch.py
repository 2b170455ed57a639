"""`zeroinit-report --watch`: the report is made again while the sweep trains, and once more when it has ended."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended
from helpers.reports import report, unpack

from zeroinit.report import cli
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.stale import is_training

WORDS = ("dataset=digits", "arch.hidden=[4]", "steps=5", "probe=none", "sweep=watched")
PAGE = Path("mlruns/reports/watched/report.html")


@pytest.mark.usefixtures("database")
def test_the_report_grows_with_the_sweep(
    zeroinit: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    zeroinit("-m", *WORDS, "init=default,zero")
    tracker = Mlflow(None)
    tracker.open("watched")
    tracker.begin_summary({})  # as a sweep of this process does before it trains
    assert is_training(tracker)
    PAGE.unlink()
    monkeypatch.setattr(cli, "WATCH_SECONDS", 0.1)
    states: list[bool] = []

    def end_the_sweep() -> None:
        while not PAGE.exists():
            time.sleep(0.05)
        states.append(is_training(tracker))
        tracker.write_summary({}, anew=False)

    other = threading.Thread(target=end_the_sweep)
    other.start()
    report("watched", "--watch", monkeypatch=monkeypatch)
    other.join()
    assert states == [True]
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == lines[-2] == PAGE.absolute().as_uri()
    assert lines[-1] == "The sweep has ended."
    assert not is_training(tracker)


@pytest.mark.usefixtures("database")
def test_a_sweep_that_has_ended_is_reported_once(
    zeroinit: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    zeroinit("-m", *WORDS, "init=default,zero")
    report("watched", "--watch", monkeypatch=monkeypatch)
    assert capfd.readouterr().out.splitlines() == [PAGE.absolute().as_uri(), "The sweep has ended."]


@pytest.mark.usefixtures("database")
def test_an_interruption_leaves_a_page_that_does_not_load_itself_again(
    zeroinit: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    zeroinit("-m", *WORDS, "init=default,zero")
    tracker = Mlflow(None)
    tracker.open("watched")
    tracker.begin_summary({})
    watched: list[object] = []

    def interrupt(seconds: float) -> None:
        watched.append(unpack(PAGE.read_bytes())["watch"]["seconds"])
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.time, "sleep", interrupt)
    with pytest.raises(SystemExit) as ended:
        report("watched", "--watch", monkeypatch=monkeypatch)
    assert (ended.value.code, watched) == (cli.INTERRUPTED, [cli.WATCH_SECONDS])
    assert unpack(PAGE.read_bytes())["watch"] is None
