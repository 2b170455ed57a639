"""The page of a sweep: values that overflowed, many keys, other nets, runs that count, and odd names."""

import sys

import numpy as np
import pytest
from helpers.reports import column_of, grid, make_cells, plan_of, record, table_of, unpack

from zeroinit.config.claims import Claim, ClaimTest
from zeroinit.report.cells import group_cells
from zeroinit.report.judgements import judge
from zeroinit.report.manifest import Manifest
from zeroinit.report.page import Extras, RunLinks, render_page
from zeroinit.report.views import make_map


@pytest.mark.parametrize("values", [(sys.float_info.max, 0.5), (1e17, 1e17)])
def test_a_metric_that_overflowed_has_no_value(values: tuple[float, float]) -> None:
    """MLflow stores infinity as the largest float."""
    runs = grid(2, 1, 1)
    for run, value in zip(runs, values, strict=True):
        run.metrics.append(("test/loss", value, 40))
    paint = (
        content := unpack(
            render_page("sweep", Manifest("", "", plan_of(*runs)), group_cells(plan_of(*runs), runs), [None] * 2, [])
        )
    )["map"]["paints"]["test/loss"]
    assert column_of(content, paint["means"]) == [value if value < 1e300 else None for value in values]
    assert np.isfinite(paint["colour"]["domain"]).all()


def test_each_of_many_keys_has_its_tiles() -> None:
    keys = {f"key{number}": ("a", "b") for number in range(7)}
    cells = make_cells({"init": ["zero"], **keys}, seeds=1)
    content = unpack(render_page("sweep", Manifest("", "", []), cells, [None] * len(cells), []))
    drawn = content["map"]
    panels = drawn["panels"]["key0 key1"]
    columns = [drawn["axes"]["key0"]["column"], drawn["axes"]["key1"]["column"], panels["row"], panels["column"]]
    tiles = {*zip(*(column_of(content, column) for column in columns), strict=True)}
    assert len(tiles) == len(cells) == 2**7


def test_the_page_and_the_figure_have_one_map() -> None:
    cells = make_cells({"init": ["zero", "default"], "optimizer.lr": ["10", "9"], "bias_scale.value": ["1", "100"]})
    drawn = (content := unpack(render_page("sweep", Manifest("", "", []), cells, [None] * 8, [])))["map"]
    figure = make_map(cells)
    x, y = drawn["default"]["x"], drawn["default"]["y"]
    assert (x, y, drawn["title"]) == (figure.x.label, figure.y.label, figure.title)
    scales = drawn["axes"][x]["x"], drawn["axes"][y]["y"], drawn["paints"]["test/accuracy"]["colour"]
    as_data = figure.to_data()
    assert scales == (as_data["x"], as_data["y"], as_data["colour"])
    tiles = drawn["paints"]["test/accuracy"]["frame"]
    for column in ("value", "tip", "has_value", "is_empty", "is_dark", "is_bright"):
        assert column_of(content, tiles[column]) == as_data["frame"][column]


def test_a_name_may_look_like_a_part_of_the_template() -> None:
    runs = grid(1, 1, 1)
    cells = group_cells(plan_of(*runs), runs)
    page = render_page("{{data}}", Manifest("", "", plan_of(*runs)), cells, [None], [])
    assert b"<title>{{data}} - zeroinit</title>" in page
    assert unpack(page)["sweep"] == "{{data}}"


@pytest.mark.parametrize(
    ("params", "is_drawn"),
    [
        ({"arch.activation": "tanh"}, True),
        ({}, False),
        ({"arch.activation": "swish"}, False),
        ({"arch": "mine", "arch.activation": "tanh"}, False),
        ({"arch.activation": "tanh", "arch.norm": "null", "arch.residual": "false"}, True),
        ({"arch.activation": "tanh", "arch.norm": "layer"}, False),
        ({"arch.activation": "tanh", "arch.residual": "true"}, False),
    ],
)
def test_only_a_net_that_the_page_evaluates_has_a_plane(params: dict[str, str], is_drawn: bool) -> None:
    runs = grid(2, 1, 1)
    for run in runs:
        run.params |= params
    cells = group_cells(plan_of(*runs), runs)
    net = {"steps": np.array([0]), "hidden1/weight": np.ones((1, 2, 2)), "output/weight": np.ones((1, 2, 2))}
    snapshots = [
        net | {"points": scale * np.eye(2), "labels": np.array([0, 1]), "seed": np.array("0")} for scale in (1, 2)
    ]
    extras = Extras(snapshots=snapshots)
    content = unpack(render_page("sweep", Manifest("", "", plan_of(*runs)), cells, [None] * 2, [], extras))
    planes = [cell["plane"] for cell in content["cells"]]
    assert [plane is not None for plane in planes] == [is_drawn] * 2
    if is_drawn:
        frames = [content["plane"][plane["examples"]]["frame"] for plane in planes]
        points = [[[x, y] for x, y in zip(frame["x"], frame["y"], strict=True)] for frame in frames]
        assert points == [[[1, 0], [0, 1]], [[2, 0], [0, 2]]]
        assert [plane["neurons"] for plane in planes] == [["neuron 1 of hidden1", "neuron 2 of hidden1"]] * 2
        assert planes[1]["title"] == "init=init1, seed 0"


def test_the_table_lists_a_finished_run_that_counts_though_a_newer_one_failed() -> None:
    failed, finished = record("zero", 0, 0.1, "FAILED"), record("zero", 0, 0.9)
    cells = group_cells(plan_of(finished), [failed, finished])
    content = unpack(render_page("sweep", Manifest("", "", plan_of(finished)), cells, [None], []))
    assert [run["outcome"] for run in table_of(content, "runs")] == ["failed", "learns"]
    assert content["table"]["runs"]["left_out"] == 0


def test_the_hint_on_links_says_how_to_start_what_shows_the_runs() -> None:
    runs = grid(1, 1, 1)
    cells = group_cells(plan_of(*runs), runs)
    said = "Run it. It prints its address; the links work while it runs at:"
    for hint, shown in (("", ""), ("Run it", said)):
        extras = Extras(RunLinks("http://127.0.0.1:5000", "7", hint))
        content = unpack(render_page("sweep", Manifest("", "", plan_of(*runs)), cells, [None], [], extras))
        path = "/#/experiments/7/runs/RUN_ID?workflowType=machine_learning"
        assert content["links"] == {"address": "http://127.0.0.1:5000", "path": path, "hint": shown}
    assert unpack(render_page("sweep", Manifest("", "", plan_of(*runs)), cells, [None], []))["links"] is None


def test_an_interval_is_a_column_of_numbers() -> None:
    for seeds in (2, 3):
        runs = grid(2, 1, seeds)
        cells = group_cells(plan_of(*runs), runs)
        manifest = Manifest("", "", plan_of(*runs), baseline="init0")
        content = unpack(render_page("sweep", manifest, cells, [None] * 2, []))
        halves = {column["name"]: column.get("interval") for column in content["table"]["cells"]}
        if seeds == 2:
            assert {*halves.values()} == {None}
        else:
            assert column_of(content, halves["test accuracy"]) == [pytest.approx(0.0248414)] * 2
            assert column_of(content, halves["minus init0"]) == [None, 0]
            distinct = content["map"]["paints"]["first_gradient/hidden1"]
            assert column_of(content, distinct["halves"]) == [pytest.approx(2.48414)] * 2


def test_claims_have_the_columns_of_the_stored_file() -> None:
    runs = grid(2, 1, 3)
    for run in runs[:3]:
        run.metrics[1] = ("test/accuracy", 0.9 + 0.01 * int(run.params["seeds.init"]), 20)
    claims = [
        Claim("It is better.", ClaimTest("superior"), {"init": "init0"}, {"init": "init1"}, source="us"),
        Claim("It reaches it.", ClaimTest("non_inferior"), {"init": ["init0", "none"]}, 97.5, margin=1.5),
        Claim("It fails.", ClaimTest("does_not_learn"), {"init": "init1"}),
    ]
    cells = group_cells(plan_of(*runs), runs)
    page = render_page("sweep", Manifest("", "", plan_of(*runs), claims=claims), cells, [None] * 2, [])
    rows = unpack(page)["claims"]
    stored = [judgement.columns() for judgement in judge(claims, cells)]
    assert [[*row] for row in rows] == [[*columns, "marked_n"] for columns in stored]
    first, second, absent, third = rows
    assert (first["statement"], first["test"], first["source"]) == ("It is better.", "superior", "us")
    assert (first["cells"], first["reference"], first["margin"]) == ("init=init0", "init=init1", 0)
    assert (first["n"], first["difference"], first["low"], first["high"]) == (3, 40, 40, 40)
    assert (second["cells"], second["reference"], second["margin"]) == ("init=init0|none", 97.5, 1.5)
    assert second["difference"] == pytest.approx(-6.5)
    assert second["low"] < -6.5 < second["high"]
    assert (absent["n"], absent["verdict"], absent["difference"]) == (0, "undetermined", None)
    assert (third["difference"], third["low"], third["verdict"]) == (None, None, "refuted")
    assert unpack(render_page("sweep", Manifest("", "", plan_of(*runs)), cells, [None] * 2, []))["claims"] == []


def test_options_are_defined_by_the_comments_of_their_files() -> None:
    runs = [record(init, 0, 0.5) for init in ("zero_normal", "of_a_user", "../config")]
    cells = group_cells(plan_of(*runs), runs)
    glossary = unpack(render_page("sweep", Manifest("", "", plan_of(*runs)), cells, [None] * 3, []))["glossary"]
    assert glossary["init=zero_normal"] == "Weights zero, biases N(0, 1): the biases break the symmetry."
    assert glossary["arch=fnn"].startswith("Fully connected")
    assert not {"init=of_a_user", "init=../config", "bias_scale.value=1"} & {*glossary}


def test_a_key_that_another_determines_is_shown_on_demand() -> None:
    cells = make_cells({"init": ["a", "b"], "optimizer": ["sgd", "adam"]}, seeds=1)
    for cell in cells:
        cell.params["optimizer.lr"] = {"sgd": "0.1", "adam": "0.001"}[cell.params["optimizer"]]
    content = unpack(render_page("sweep", Manifest("", "", []), cells, [None] * len(cells), []))
    for columns in (content["table"]["cells"], content["table"]["runs"]["columns"]):
        keys = {column["name"]: column["is_extra"] for column in columns if column.get("is_key")}
        assert keys == {"init": False, "optimizer": False, "optimizer.lr": True}
    assert content["label_keys"] == "init \N{MIDDLE DOT} optimizer"
    assert content["cells"][1]["values"] == "a \N{MIDDLE DOT} adam"
