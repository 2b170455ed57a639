"""What a config must satisfy, its hashes and its params."""

from collections.abc import Callable

import pytest

from zeroinit.config import Job
from zeroinit.config.schema import Duration, Seeds
from zeroinit.errors import BadInput


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["epochs=3", "steps=4"], "epochs=3 and steps=4: give one of them"),
        (["epochs=null", "steps=null"], "epochs=null and steps=null: give one of them"),
        (["epochs=0"], "epochs=0: give a whole number from 1"),
        (["epochs=two"], "epochs=two: give a whole number from 1"),
        (["epochs=1.5"], "epochs=1.5: give a whole number from 1"),
        (["steps=-1"], "steps=-1: give a whole number from 1"),
        (["dataset.batch_size=0"], "dataset.batch_size=0: give a whole number from 1 or all"),
        (["dataset.batch_size=some"], "dataset.batch_size=some: give a whole number from 1 or all"),
        (["dataset.shuffle=2"], "dataset.shuffle=2: give true or false"),
        (["bias_scale.value=-1"], "bias_scale.value=-1: give a finite number, 0 or greater"),
        (["bias_scale.value=big"], "bias_scale.value=big: give a finite number, 0 or greater"),
        (["bias_scale.value=inf"], "bias_scale.value=inf: give a finite number, 0 or greater"),
        (["bias_scale.value=true"], "bias_scale.value=True: give a finite number, 0 or greater"),
        (["optimizer.lr=-0.1"], "optimizer.lr=-0.1: give a finite number, 0 or greater"),
        (["optimizer.lr=nan"], "optimizer.lr=nan: give a finite number, 0 or greater"),
        (["seed=-1"], "seed=-1: give a whole number from 0"),
        (["seeds.init=x"], "seeds.init=x: give a whole number from 0"),
        (["threads=0"], "threads=0: give a whole number from 1"),
        (["threads=null"], "threads=None: give a whole number from 1"),
        (["arithmetic=exact"], "arithmetic=exact: give native, tied or quotient"),
        (["arithmetic=null"], "arithmetic=None: give native, tied or quotient"),
        (["dtype=double"], "dtype=double: give float32 or float64"),
        (["dtype=null"], "dtype=None: give float32 or float64"),
        (["deterministic=1"], "deterministic=1: give true or false"),
        (["save=perhaps"], "save=perhaps: give true or false"),
        (["device=tpu"], "device=tpu: give auto, cpu, cuda or cuda:N"),
        (["device=cuda:99"], "device=cuda:99: torch finds"),
        (["sweep=''"], "sweep=: give a name, or null"),
        (["epochs=${nothing}"], "epochs: Interpolation key 'nothing' not found"),
    ],
)
def test_values_out_of_range(overrides: list[str], said: str, job_of: Callable[..., Job]) -> None:
    with pytest.raises(BadInput) as raised:
        job_of(*overrides)
    assert str(raised.value).startswith(said)


def test_steps_take_the_place_of_the_default_epochs(job_of: Callable[..., Job]) -> None:
    assert job_of().config.duration == Duration(epochs=10, steps=None)
    assert job_of("steps=7").config.duration == Duration(epochs=None, steps=7)


def test_seed_is_the_seed_of_every_stream_but_the_split(job_of: Callable[..., Job]) -> None:
    assert job_of("seed=5").config.seeds == Seeds(init=5, order=5, augment=5, forward=5, split=0)
    assert job_of("seed=5", "seeds.order=6").config.seeds.order == 6


@pytest.mark.parametrize(
    ("overrides", "same_config", "same_cell"),
    [
        (["tracker=off"], True, True),
        (["tracker.uri=http://somewhere"], True, True),
        (["save=true"], True, True),
        (["sweep=mine"], True, True),
        (["probe=all", "probe.first_steps=7"], True, True),
        (["init@init.rest=orthogonal", "init.layers=output"], False, False),
        (["seeds.augment=7"], True, True),
        (["seeds.augment=7", "dataset.augment.flip=true"], False, False),
        (["dataset.normalize.std=[1]"], True, True),
        (["loss.reduction=sum"], False, False),
        (["dataset.augment.flip=true"], False, False),
        (["dataset.normalize.std=1.0"], True, True),
        (["dataset.normalize.std=2"], False, False),
        (["dataset=mnist5k", "device=cpu"], True, True),
        (["bias_scale.value=1"], True, True),
        (["bias_scale.value=1.5"], False, False),
        (["seed=1"], False, True),
        (["seeds.order=1"], False, True),
        (["init=zero"], False, False),
        (["arch.hidden=[501]"], False, False),
        (["arch.norm=layer"], False, False),
        (["arch.residual=true"], False, False),
        (["epochs=11"], False, False),
        (["threads=2"], False, False),
        (["arithmetic=tied"], False, False),
        (["arithmetic=quotient"], False, False),
        (["dtype=float64"], False, False),
        (["dataset.shuffle=false"], False, False),
        (["dataset.max_examples=null"], True, True),
        (["dataset.max_examples=500"], False, False),
        (
            [
                "+published.epochs=10",
                "+size.epochs=${published.epochs}",
                "epochs=${size.epochs}",
                "claims=[{statement: so, cells: {init: zero}, test: predicts_one_class}]",
            ],
            True,
            True,
        ),
        (["schedule=ramp", "schedule.steps=0", "schedule.factor=3"], True, True),
        (["schedule=ramp", "schedule.steps=10", "schedule.factor=1"], True, True),
        (["schedule=ramp", "schedule.steps=10"], False, False),
        (["schedule=ramp", "schedule.steps=10", "schedule.factor=3"], False, False),
    ],
)
def test_hashes(overrides: list[str], same_config: bool, same_cell: bool, job_of: Callable[..., Job]) -> None:
    plain, changed = job_of("device=cpu"), job_of("device=cpu", *overrides)
    assert (plain.config_hash == changed.config_hash) == same_config
    assert (plain.cell_hash == changed.cell_hash) == same_cell


@pytest.mark.parametrize(
    ("overrides", "config_hash"),
    [
        ([], "9aff72d2d8963980"),
        (["dataset=cifar10", "arch=cifar_fnn", "init=zero_normal", "seed=3"], "830a28005f159220"),
        # the ramps of before there was `schedule`, then `ramp.steps` and `ramp.factor`
        (["schedule=ramp", "schedule.steps=10"], "ed8555d3f9d4dccb"),
        (["schedule=ramp", "schedule.steps=150", "schedule.factor=0.5"], "39eb5f62edcbafc4"),
    ],
)
def test_a_key_that_is_off_leaves_earlier_runs_known(
    overrides: list[str], config_hash: str, job_of: Callable[..., Job]
) -> None:
    """These are from before there was `dataset.max_examples`, or `ramp`."""
    assert job_of("device=cpu", *overrides).config_hash == config_hash


def test_where_the_files_lie_is_no_part_of_the_hash(job_of: Callable[..., Job]) -> None:
    assert job_of("dataset=mnist").config_hash == job_of("dataset=mnist", "dataset.root=/elsewhere").config_hash


def test_params_are_the_keys_that_one_types(job_of: Callable[..., Job]) -> None:
    params = job_of("init=zero_normal", "bias_scale.value=0.10", "arch.hidden=[3,4]", "tracker.uri=http://host").params
    expected = {
        "init": "zero_normal",
        "arch": "fnn",
        "arch.hidden": "[3, 4]",
        "bias_scale": "constant",
        "bias_scale.value": "0.1",
        "dataset": "mnist5k",
        "dataset.batch_size": "128",
        "dataset.shuffle": "true",
        "optimizer": "adam",
        "optimizer.lr": "0.001",
        "tracker": "mlflow",
        "seeds.init": "0",
        "epochs": "10",
        "steps": "null",
    }
    assert expected.items() <= params.items()
    assert not any("host" in value or "_target_" in key for key, value in params.items())


@pytest.mark.parametrize(
    ("overrides", "key", "shown"),
    [
        (["arch._target_=mine.Net"], "arch", "mine.Net"),
        (["init=zero", "init.weight._target_=mine.rule"], "init", "zero weight=mine.rule"),
        (["init.bias={_target_:torch.nn.init.ones_}"], "init", "default bias=torch.nn.init.ones_"),
        (["arch=logistic"], "arch", "logistic"),
    ],
)
def test_a_function_of_the_users_own_is_named(
    overrides: list[str], key: str, shown: str, job_of: Callable[..., Job]
) -> None:
    assert job_of(*overrides).params[key] == shown


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["~dataset.batch_size"], "dataset.batch_size: there is no such key in the config; it is needed"),
        (["~init.bias"], "init.bias: there is no such key in the config; it is needed"),
        (["~bias_scale"], "bias_scale: there is no such key in the config; it is needed"),
        (["init.weight=5"], "init.weight=5: give the keys of a function, its name under _target_"),
        (["seeds=3"], "seeds=3: it holds keys, such as seeds.init; give those"),
        (["tracker.uri=5"], "tracker.uri=5: give sqlite:///FILE.db"),
        (["tracker.uri=http://me:p@ss@host/x"], "tracker.uri=http://***@host/x: a password here"),
        (["tracker.uri='mysql://h/db?password=secret'"], "tracker.uri=mysql://h/db?password=***: a password here"),
    ],
)
def test_what_is_missing_or_of_another_kind(overrides: list[str], said: str, job_of: Callable[..., Job]) -> None:
    with pytest.raises(BadInput) as raised:
        job_of(*overrides)
    assert str(raised.value).startswith(said)


def test_functions_below_a_group_are_params_of_their_own(job_of: Callable[..., Job]) -> None:
    """They tell the cells of a sweep apart; rules of weights and biases are part of the init's name."""
    words = (
        "dataset=torch",
        "dataset.train._target_=mine.Images",
        "loss=function",
        "loss.function._target_=mine.focal",
    )
    job = job_of(*words, "init.other={_target_: mine.position}", "init.bias._target_=mine.noise")
    names = {
        key: job.params[key] for key in ("dataset", "dataset.train", "loss", "loss.function", "init", "init.other")
    }
    assert names == {
        "dataset": "torch",
        "dataset.train": "mine.Images",
        "loss": "function",
        "loss.function": "mine.focal",
        "init": "default bias=mine.noise",
        "init.other": "mine.position",
    }
    assert "dataset.train._target_=mine.Images" in job.name
    assert "init.bias" not in job.name
