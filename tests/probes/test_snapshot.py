"""The weights of small nets at observed steps."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.observers import make_observer
from helpers.reports import report, unpack
from helpers.trainings import train_members
from torch import nn

from zeroinit import dataset
from zeroinit.arch import FNN
from zeroinit.dataset import Data
from zeroinit.probes.metrics import skip_reasons
from zeroinit.probes.probe import Readings, Schedule, Subject
from zeroinit.probes.snapshot import MAX_POINTS, SNAPSHOTS_FILE, Snapshot
from zeroinit.rng import stream
from zeroinit.tracker import Record
from zeroinit.training.cohort import Member


def make_models(data: Data, count: int) -> list[nn.Module]:
    torch.manual_seed(0)
    return [FNN(data.input_shape, data.num_classes, [3], "tanh") for _ in range(count)]


def train(models: list[nn.Module], data: Data, steps: list[int]) -> list[dict[str, np.ndarray]]:
    """Train the models together by SGD, observe every step, and return the arrays of each model's snapshots."""
    records = [Record("", {}, {}) for _ in models]
    batch = tuple(part.unsqueeze(0) for part in data.train)
    observer = make_observer(records, max(steps), ["snapshot"], [], batch)
    members = [
        Member(model, torch.optim.SGD(model.parameters(), lr=0.5), stream("order", i), stream("augment", i), count)
        for i, (model, count) in enumerate(zip(models, steps, strict=True))
    ]
    train_members(members, data, batch_size=len(data.train[0]), observe=observer)
    contents = [observer.files(index)[SNAPSHOTS_FILE] for index in range(len(models))]
    assert all(not record.metrics or "test/accuracy" in {name for name, *_ in record.metrics} for record in records)
    return [dict(np.load(io.BytesIO(content))) for content in contents]


def test_they_are_the_weights_before_the_first_and_after_each_step() -> None:
    data = dataset.xor(stream("split", 0))
    models = make_models(data, 2)
    starts = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    stored = train(models, data, [4, 2])
    assert [arrays["steps"].tolist() for arrays in stored] == [[0, 1, 2, 3, 4], [0, 1, 2]]
    for model, start, arrays in zip(models, starts, stored, strict=True):
        ends = model.state_dict()
        for name, value in start.items():
            layer, _, part = name.partition(".")
            assert arrays[f"{layer}/{part}"][0].tolist() == value.tolist()
            np.testing.assert_allclose(arrays[f"{layer}/{part}"][-1], ends[name].numpy(), rtol=1e-6)
        assert arrays["points"].tolist() == data.train[0].tolist()
        assert arrays["labels"].tolist() == [0, 1, 1, 0]
    alone = train(make_models(data, 1), data, [4])[0]
    for name, values in alone.items():
        np.testing.assert_allclose(stored[0][name], values, rtol=1e-5, atol=1e-7)


def test_examples_are_thinned_and_those_of_more_inputs_are_left_out() -> None:
    planar = dataset.planar(stream("split", 0))
    [arrays] = train(make_models(planar, 1), planar, [1])
    assert len(arrays["points"]) == len(arrays["labels"]) == MAX_POINTS < len(planar.train[0])
    digits = dataset.digits(stream("split", 0))
    [arrays] = train(make_models(digits, 1), digits, [1])
    assert "points" not in arrays


def test_real_targets_are_no_classes_to_draw() -> None:
    points = torch.eye(2), torch.tensor([[0.0], [1.0]])
    subject = Subject([], (points[0].unsqueeze(0), points[1].unsqueeze(0)), Schedule(1, 0, ()))
    assert Snapshot(subject, Readings([]))._points() == {}


def test_a_large_net_has_none() -> None:
    small, large = FNN((2,), 2, [199], "tanh"), FNN((2,), 2, [200], "tanh")
    assert skip_reasons(["snapshot"], small) == {}
    assert "1,002 parameters" in skip_reasons(["snapshot"], large)["snapshot"]


@pytest.mark.usefixtures("database")
def test_a_run_keeps_them_for_the_page(zeroinit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    net = ("arch.hidden=[2]", "arch.activation=tanh")
    ended = zeroinit("dataset=xor", *net, "steps=3", "probe=snapshot", "sweep=kept")
    assert ended.code == 0, ended.err
    [path] = Path("mlruns/artifacts/kept").glob(f"*/artifacts/{SNAPSHOTS_FILE}")
    assert (path.parent / "histograms.npz").is_file()
    with np.load(path) as arrays:
        assert arrays["steps"].tolist() == [0, 1, 2, 3]
        assert arrays["hidden1/weight"].shape == (4, 2, 2)
        assert arrays["output/bias"].shape == (4, 2)
        start = arrays["hidden1/weight"][0]
    report("kept", "--to", "made", monkeypatch=monkeypatch)
    content = unpack(Path("made/report.html").read_bytes())
    plane = content["cells"][0]["plane"]
    assert (plane["steps"], plane["activation"], plane["seed"]) == ([0, 1, 2, 3], "tanh", "0")
    assert [layer["name"] for layer in plane["layers"]] == ["hidden1", "output"]
    np.testing.assert_allclose(plane["layers"][0]["weight"][0], start, rtol=1e-3)
    assert content["plane"][plane["examples"]]["frame"]["class"] == ["0", "1", "1", "0"]
