"""Every option of every group composes, builds, and after 50 steps is finite; every sweep file composes and trains.

Large archs take fewer steps, on a few digits.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from zeroinit import CONF, SWEEPS, build, cli
from zeroinit.config import Job
from zeroinit.config.compose import job_of as compose_job
from zeroinit.dataset import Data, digits
from zeroinit.rng import stream
from zeroinit.sweep import runner
from zeroinit.tracker.memory import Off

TRAINED = {
    group: sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    for group in ("dataset", "arch", "init", "bias_scale", "optimizer", "probe", "tracker", "size")
}
LARGE = ("mlp_mixer", "resnet50", "rnn", "timm", "torchvision", "vit")  # archs that train with two inits
ACTIVATIONS = ["elu", "relu", "leaky_relu", "tanh", "sigmoid", "selu", "gelu"]


def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of any data set, for archs that take long."""
    few = tuple(part[:40] for part in digits(stream("split", 0)).test)
    monkeypatch.setattr(build.data, "load_cached", lambda *args: Data(few, few, few, num_classes=10))


def finite_to_the_end(job: Job) -> None:
    tracker = Off()
    build.check([job])
    [record] = runner.run_jobs([job], tracker, lambda share, accuracy: None, keep=tracker.write)
    assert record.status == "FINISHED"
    assert tracker.records() == [record]
    assert all(torch.tensor([value for _, value, _ in record.metrics]).isfinite())
    assert {step for _, _, step in record.metrics} >= {0, job.config.duration.steps}


def test_the_options_are_those_that_are_promised() -> None:
    assert TRAINED == {
        "dataset": [
            "cifar10",
            "diabetes",
            "digits",
            "fashion_mnist",
            "image_folder",
            "mnist",
            "mnist5k",
            "planar",
            "teacher",
            "torch",
            "xor",
        ],
        "arch": [
            "cifar_cnn",
            "cifar_fnn",
            "fnn",
            "logistic",
            "mlp_mixer",
            "mnist_cnn",
            "resnet50",
            "rnn",
            "timm",
            "torchvision",
            "vit",
        ],
        "init": [
            "constant",
            "default",
            "kaiming_normal",
            "kaiming_uniform",
            "keep",
            "layer_constant",
            "lecun_normal",
            "lecun_uniform",
            "ones",
            "orthogonal",
            "row_constant",
            "small_normal",
            "xavier_normal",
            "xavier_uniform",
            "zero",
            "zero_log_uniform",
            "zero_normal",
            "zero_uniform",
            "zero_uniform_matched",
        ],
        "bias_scale": ["constant", "fan_in"],
        "optimizer": ["adam", "adamw", "momentum", "rmsprop", "sgd"],
        "probe": ["all", "default", "noise_scale", "none", "snapshot"],
        "tracker": ["mlflow", "off"],
        "size": ["paper", "small", "smoke"],
    }


@pytest.fixture(scope="module")
def compose_once(job_of: Callable[..., Job]) -> Callable[..., Job]:
    return cache(job_of)


@pytest.mark.parametrize("init", TRAINED["init"])
@pytest.mark.parametrize("arch", sorted({*TRAINED["arch"]} - {*LARGE}))  # no rule fills all of the last two
def test_inits_and_archs(
    init: str, arch: str, compose_once: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is composed once, as neither group knows of the other."""
    job = compose_once("dataset=digits", "steps=50", f"init={init}")
    values = job.values | {"arch": compose_once("dataset=digits", f"arch={arch}").values["arch"]}
    if arch == "cifar_cnn":
        values |= {"steps": 9, "dataset": values["dataset"] | {"batch_size": 16}}
        few_digits(monkeypatch)
    finite_to_the_end(replace(job, values=values))


@pytest.mark.parametrize("init", ["default", "zero_normal"])
@pytest.mark.parametrize("arch", LARGE)
def test_large_archs(arch: str, init: str, job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """On fewer digits and for fewer steps than the others: these archs take longest, to draw as well."""
    few_digits(monkeypatch)
    finite_to_the_end(job_of("dataset=digits", f"arch={arch}", f"init={init}", "dataset.batch_size=8", "steps=3"))


# those that need files of their own are trained in test_dataset.py and test_folder.py
@pytest.mark.parametrize("dataset", sorted({*TRAINED["dataset"]} - {"cifar10", "image_folder"}))
def test_datasets(dataset: str, job_of: Callable[..., Job]) -> None:
    overrides = []
    if dataset in ("mnist", "fashion_mnist"):
        root = Path(os.environ.get("ZEROINIT_DATA", "no folder named"))
        if not (root / {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[dataset] / "raw").is_dir():
            pytest.skip(f"ZEROINIT_DATA names no folder with the files of {dataset}")
        overrides = [f"dataset.root={root}"]
    if dataset in ("diabetes", "teacher"):
        overrides = ["loss=mse"]
    if dataset == "torch":
        overrides = ["dataset.train._target_=torchvision.datasets.FakeData", "+dataset.train.size=200"]
        overrides += ["+dataset.train.image_size=[1,4,4]"]
    finite_to_the_end(job_of(f"dataset={dataset}", "steps=50", *overrides))


@pytest.mark.parametrize("optimizer", TRAINED["optimizer"])
@pytest.mark.parametrize("bias_scale", TRAINED["bias_scale"])
def test_optimizers_and_bias_scales(optimizer: str, bias_scale: str, job_of: Callable[..., Job]) -> None:
    finite_to_the_end(job_of("dataset=planar", f"optimizer={optimizer}", f"bias_scale={bias_scale}", "steps=50"))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("arch", ["fnn", "mnist_cnn", "cifar_fnn"])
def test_activations(activation: str, arch: str, job_of: Callable[..., Job]) -> None:
    finite_to_the_end(job_of("dataset=digits", f"arch={arch}", f"arch.activation={activation}", "steps=50"))


def test_each_option_says_what_it_is() -> None:
    for group, options in TRAINED.items():
        for option in options:
            assert (CONF / group / f"{option}.yaml").read_text().startswith("# "), f"{group}={option}"


def test_keys_that_all_data_sets_share() -> None:
    shared = OmegaConf.load(CONF / "config.yaml")
    assert set(shared.dataset) == {"shuffle", "max_examples", "resize", "channels", "normalize", "augment"}


@pytest.mark.parametrize(
    "path", sorted(set(SWEEPS.glob("*.yaml")) - set(SWEEPS.glob("lab_*"))), ids=lambda path: path.stem
)
def test_sweeps(path: Path, job_of: Callable[..., Job]) -> None:
    """All jobs compose and are checked; the last trains for two steps.

    At size=smoke where there are sizes: test_sizes.py has the others. For lab_*: test_laboratory.py.
    """
    text = path.read_text()
    assert text.startswith("# ")
    size = ["size=smoke"] if "- size: small" in text else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration(path.stem, size, run_mode=RunMode.MULTIRUN)
        sweeper = Plugins.instance().instantiate_sweeper(
            hydra_context=HydraContext(config_loader=loader, callbacks=None), task_function=cli.task, config=master
        )
        shorter = [*size, "epochs=null", "steps=2"]
        jobs = [compose_job(cfg) for cfg in sweeper.composer.configs(sweeper.expand(shorter))]
    assert f"{len(jobs)} runs" in text
    build.check(jobs)
    [record] = runner.run_jobs([jobs[-1]], Off(), lambda share, accuracy: None)
    assert record.status == "FINISHED"
