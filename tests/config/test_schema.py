"""The typed config of a run."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from zeroinit.config import Job
from zeroinit.config.identity import hashes
from zeroinit.config.schema import Duration, RunConfig, Seeds
from zeroinit.config.target import Target
from zeroinit.errors import BadInput


def test_values_become_types(job_of: Callable[..., Job]) -> None:
    config = job_of(
        "dataset=xor", "device=cpu", "dtype=float64", "schedule=ramp", "dataset.normalize.mean=[0.5]"
    ).config
    assert config.dataset.batch_size is None
    assert config.dataset.mean == (0.5,)
    assert (config.device, config.dtype) == (torch.device("cpu"), torch.float64)
    assert (config.schedule.name, config.schedule.arguments) == ("zeroinit.schedule.ramp", {"steps": 100, "factor": 10})
    assert config.seeds == Seeds(init=0, order=0, augment=0, forward=0, split=0)
    assert config.probe.schedule.first_steps == 20
    assert (config.arch.key, config.arch.name) == ("arch", "zeroinit.arch.FNN")
    assert config.arch.arguments == {"hidden": [500], "activation": "elu", "norm": None, "residual": False}


@pytest.mark.parametrize(("typed", "resize"), [("8", 8), ("[7,3]", (7, 3)), ("null", None)])
def test_a_size_of_images(typed: str, resize: object, job_of: Callable[..., Job]) -> None:
    assert job_of("dataset=digits", f"dataset.resize={typed}").config.dataset.resize == resize


@pytest.mark.parametrize(("typed", "layers"), [("conv*", ("conv*",)), ("[a,b]", ("a", "b")), ("null", None)])
def test_layers_are_patterns_and_the_rest_has_rules_if_there_are_any(
    typed: str, layers: object, job_of: Callable[..., Job]
) -> None:
    init = job_of(f"init.layers={typed}").config.init
    assert init.layers == layers
    assert (init.rest is None) == (layers is None)
    assert len(init.targets) == (3 if layers is None else 6)  # of weights, biases and embeddings


def test_arguments_of_a_data_set_are_its_own_keys(job_of: Callable[..., Job]) -> None:
    """The keys that all data sets share are no arguments of the function."""
    assert job_of("dataset=mnist", "dataset.root=here").config.dataset.source.arguments == {"root": "here"}


def test_a_config_cannot_change(job_of: Callable[..., Job]) -> None:
    config = job_of().config
    for part, name in ((config, "mode"), (config.dataset, "shuffle"), (config.arch, "name"), (config.seeds, "init")):
        with pytest.raises(FrozenInstanceError):
            setattr(part, name, None)
    config.arch.arguments["hidden"] = []  # a copy
    assert config.arch.arguments["hidden"] == [500]


def test_equal_values_give_equal_configs(job_of: Callable[..., Job]) -> None:
    values = job_of().values
    before = copy.deepcopy(values)
    config, same = RunConfig.parse(values), RunConfig.parse(copy.deepcopy(values))
    assert values == before
    assert config == same
    assert hash(config) == hash(same)
    assert config != job_of("arch.hidden=[7]").config
    assert pickle.loads(pickle.dumps(config)) == config


def test_the_config_of_a_job_follows_its_values(job_of: Callable[..., Job]) -> None:
    job = job_of()
    assert job.config is job.config
    assert replace(job, values=job.values | {"threads": 3}).config.threads == 3


def test_a_job_for_another_machine_has_hashes(job_of: Callable[..., Job]) -> None:
    values = job_of().values | {"device": "cuda:99"}
    assert hashes(values) == hashes(values | {"device": "cuda"})
    with pytest.raises(BadInput, match=r"^device=cuda:99: torch finds"):
        RunConfig.parse(values)


def test_steps_of_a_duration() -> None:
    assert Duration(epochs=3, steps=None).count_steps(10) == 30
    assert Duration(epochs=None, steps=7).count_steps(10) == 7


def test_targets_with_equal_values_of_other_types_differ() -> None:
    """Otherwise a cache would hand the function of one config to another."""
    nodes = [{"_target_": "torch.nn.Linear", "bias": value} for value in (True, 1, 1.0)]
    assert len({Target.read({"arch": node}, "arch") for node in nodes}) == 3


def test_arguments_keep_the_types_of_their_keys() -> None:
    target = Target.read({"arch": {"_target_": "mine.Net", "widths": {1: 2}}}, "arch")
    assert target.arguments == {"widths": {1: 2}}
    target.arguments["widths"][3] = 4
    assert target.with_arguments({"depth": 5}).arguments == {"widths": {1: 2}, "depth": 5}


def test_a_target_is_its_node() -> None:
    node = {"_target_": "zeroinit.arch.FNN", "hidden": [3]}
    target = Target.read({"arch": node}, "arch")
    assert target.node == node
    assert str(target) == "arch._target_=zeroinit.arch.FNN"
    assert target.with_arguments({"activation": "elu"}).arguments == {"hidden": [3], "activation": "elu"}
    assert target.is_shipped
    assert not Target.read({"arch": {"_target_": "mine.Net"}}, "arch").is_shipped


@pytest.mark.parametrize("node", [3, None, {"hidden": [3]}, {"_target_": None}])
def test_a_node_without_a_function_is_refused(node: object) -> None:
    with pytest.raises(BadInput, match=r"give the keys of a function, its name under _target_$"):
        Target.read({"arch": node}, "arch")
