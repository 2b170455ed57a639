"""Which figures a sweep draws, of which cells, and what happens if one cannot be drawn."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import starmap
from typing import Any

import pytest
from helpers.reports import fake_histograms, make_cells, pack

from zeroinit.report import select_figures
from zeroinit.report.cells import Cell
from zeroinit.report.select_figures import draw, last_to_wake_with_reference, nearest_cells
from zeroinit.report.views import View
from zeroinit.tracker import Record
from zeroinit.tracker.memory import Off


def waking(keys: Mapping[str, Sequence[str]], came: Callable[[dict[str, str]], dict[str, int]]) -> list[Cell]:
    cells = make_cells(keys)
    for cell in cells:
        for run in cell.finished:
            run.metrics += [(f"grad/{layer}/norm", 1.0, 1) for layer in ("hidden1", "output")]
            run.metrics += [(f"first_gradient/{layer}", step, step) for layer, step in came(cell.params).items()]
    return cells


KEYS = {"init": ["default", "zero", "zero_normal", "late"], "optimizer.lr": ["1", "0.1"]}


CAME: dict[str, dict[str, int]] = {
    "default": {"hidden1": 1, "output": 1},
    "zero": {},
    "zero_normal": {"hidden1": 2, "output": 1},
    "late": {"output": 9},
}


def test_the_pair_is_the_cell_that_wakes_last_and_its_counterpart_of_the_first_init() -> None:
    cells = waking(KEYS, lambda params: CAME[params["init"]])
    assert last_to_wake_with_reference(cells) == [cells[0], cells[4]]
    slow = waking(KEYS, lambda params: CAME[params["init"]] | {"hidden1": 3} if params["optimizer.lr"] == "0.1" else {})
    assert last_to_wake_with_reference(slow)[1] is slow[1 + 2 * KEYS["init"].index("late")]
    assert last_to_wake_with_reference(cells[6:]) == [cells[6]]  # it is of the first init itself


def test_waves_are_drawn_of_whole_groups_of_inits() -> None:
    cells = make_cells(
        {"arch": ["logistic", "fnn"], "init": ["a", "b", "c", "d"], "optimizer.lr": ["1", "2", "3", "4"]}
    )
    chosen = next(cell for cell in cells if cell.params["arch"] == "fnn" and cell.params["optimizer.lr"] == "4")
    groups = nearest_cells(cells, chosen)
    assert [[cell.params["init"] for cell in group] for group in groups] == [["a", "b", "c", "d"]] * 3
    assert [group[0].params["optimizer.lr"] for group in groups] == ["1", "2", "4"]
    assert {cell.params["arch"] for group in groups for cell in group} == {"fnn"}
    assert all(cell.params["init"] for group in groups for cell in group)


class FileTracker(Off):
    """A tracker that has files for every run."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__()
        self.files, self.loaded = files, list[list[str]]()

    def load_histories(self, records: Sequence[Record], metrics: Sequence[str]) -> None:
        self.loaded.append(list(metrics))

    def read_file(self, record: Record, name: str) -> bytes | None:
        return self.files.get(name)


FILES = {
    "histograms.npz": pack(fake_histograms(2)),
    "init.csv": b"parameter,shape,rule,mean,std,zeros\nhidden1.weight,7x3,zeros_(),0,0,1\n",
}


def test_a_sweep_draws_a_handful_of_figures_and_reads_the_store_once() -> None:
    cells = waking(KEYS, lambda params: CAME[params["init"]])
    for cell in cells:
        for run in cell.finished:
            run.metrics.append(("symmetry/hidden1/distinct", 3.0, 0))
    tracker = FileTracker(FILES)
    names = ["boxes.png", "comparison.png", "differences.png", "gradients.png", "map.png", "neurons.png", "wave.png"]
    assert sorted(draw(cells, tracker, starmap, (), "default")) == names
    assert tracker.loaded == [["test/accuracy", "symmetry/hidden1/distinct"]]
    assert sorted(draw(make_cells(KEYS), FileTracker({}), starmap, (), "default")) == [
        "comparison.png",
        "differences.png",
        "map.png",  # probe=none
    ]


def test_a_figure_that_cannot_be_drawn_costs_no_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(cells: object) -> View:
        raise ValueError("no\nmap")

    monkeypatch.setattr("zeroinit.report.views.make_map", broken)
    assert set(draw(make_cells(KEYS), FileTracker({}), starmap, (), "default")) == {"comparison.png", "differences.png"}
    assert capsys.readouterr().err == "zeroinit: no map.png: ValueError: no map\n"


def test_a_worker_that_dies_costs_the_figures_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def broken_map(function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        raise RuntimeError("a worker could not do its task: -9")

    assert draw(make_cells(KEYS), FileTracker({}), broken_map, (), "default") == {}
    assert capsys.readouterr().err == "zeroinit: no figures: a worker could not do its task: -9\n"


def test_runs_without_a_common_observed_step_have_no_figures_of_gradients() -> None:
    apart = [pack({name: part[[step]] for name, part in fake_histograms(2).items()}) for step in (0, 1)]
    assert (
        select_figures.draw_figure(
            "wave", [select_figures.ObservedCell({"init": "a"}, "init=a", apart, {}, {}, "a")], ["init"]
        )
        == "its runs were observed at no common step"
    )


@pytest.mark.parametrize("name", ["gradients", "boxes"])
def test_of_a_pair_without_a_common_observed_step_the_last_to_wake_is_drawn(name: str) -> None:
    apart = [pack({key: part[[step]] for key, part in fake_histograms(2).items()}) for step in (0, 1)]
    pair = [
        select_figures.ObservedCell({"init": init}, f"init={init}", [content], {}, {}, "ab")
        for init, content in zip("ab", apart, strict=True)
    ]
    view = select_figures.make_view(name, pair)
    assert isinstance(view, View)
    assert set(view.frame["step" if name == "gradients" else "column"]) <= {2, "step 2"}
    assert isinstance(select_figures.draw_figure(name, pair), bytes)
