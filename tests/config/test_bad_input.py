"""Bad input: one line that names the key, the value and what is accepted, exit code 2, and nothing kept."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra.errors import ConfigCompositionException

from zeroinit.config import composition

Command = Callable[..., object]
QUICK = ("dataset=digits", "arch=logistic", "steps=30")

BAD = {
    ("bias_scale=0.1",): "bias_scale=0.1: give bias_scale.value=0.1; bias_scale itself is one of constant, fan_in",
    ("-m", "bias_scale=0.1,1"): "bias_scale=0.1: give bias_scale.value=0.1",
    ("optimizer=0.1",): "optimizer=0.1: give optimizer.lr=0.1",
    ("bias_scale.value=-1",): "bias_scale.value=-1: give a finite number, 0 or greater",
    ("epochs=3", "steps=4"): "epochs=3 and steps=4: give one of them and set the other to null",
    ("-m", "seed=0,1,0"): "seed=0,1,0: the axis has the value 0 twice; give each value once",
    ("-m", "bias_scale.value=1,1.0"): "bias_scale.value=1,1.0: the axis has the value 1.0 twice; give each value once",
    ("-m", "seed=range(0)"): "seed=range(0): the axis has no values; give at least one",
    ("-m", "init="): "init=: the axis has no values; give at least one",
    ("-m", "bias_scale.value=interval(0,1)"): "bias_scale.value=interval(0,1): an interval is for optimising sweepers",
    (
        "-m",
        "save=true,false",
        "dataset=digits",
    ): "save=True dataset=digits and save=False",
    ("save=true", "tracker=off"): "save=true: tracker=off stores no files",
    ("arch.hidden=500",): "arch.hidden=500: give the widths as a list of positive whole numbers, such as [500]",
    ("arch.activation=[relu]",): "arch.activation=['relu']: choose one of elu, relu",
    ("optimizer.betas=0.9",): "optimizer.betas=0.9: give a list of 2 finite numbers",
    ("schedule=ramp", "schedule.steps=-1"): "schedule.steps=-1: give a whole number from 0",
    ("schedule=ramp", "schedule.steps=1.5"): "schedule.steps=1.5: give a whole number from 0",
    ("schedule=ramp", "schedule.factor=0"): "schedule.factor=0: give a finite number above 0",
    ("schedule=ramp", "schedule.factor=high"): "schedule.factor=high: give a finite number above 0",
    ("+ramp.epochs=1",): "ramp.epochs=1: there is no such key; use epochs",
    ("ramp.steps=5",): "ramp.steps=5: there is no such key; its name is now schedule.steps, with schedule=ramp",
    ("schedule.steps=5",): "schedule.steps=5: the config has no such key; it is a key of schedule=ramp",
    ("schedule.T_max=5",): "schedule.T_max=5: the config has no such key; it is a key of schedule=cosine",
    ("schedule=10",): "schedule=10: give the name of one option, one of constant, cosine, cosine_restarts, exponential",
    ("ramp=10",): "ramp=10: there is no such key; use schedule=ramp",
    ("optimizer.weight_decay=abc",): "optimizer.weight_decay=abc: give a finite number",
    (
        "dataset=mnist",
        "dataset.root=5",
    ): "dataset.root=5: give the folder under which MNIST/raw lies, for",
    ("tracker.uri=sqlite://",): "tracker.uri=sqlite://: give sqlite:///FILE.db",
    ("tracker.uri=sqlite:////",): "tracker.uri=sqlite:////: unable to open database file",
    ("tracker.uri=mysql://127.0.0.1:9/db",): "tracker.uri=mysql://127.0.0.1:9/db: no database answers there",
    ("-m", "init=glob(nothing*)"): "init=glob(nothing*): the axis has no values; give at least one",
    ("-m", "seed=0,-1"): "seed=-1: give a whole number from 0",
    ("dataset.batch_size=4000",): "dataset.batch_size=4000: the training set has 3500 examples; give 1 to 3500, or all",
    (
        "arch=mnist_cnn",
        "dataset=xor",
    ): "arch=mnist_cnn needs images (channels, height, width); the data have shape (2,)",
    ("init.layers=conv*",): "init.layers=conv*: no layer has such a name; the layers are hidden1, output",
    ("arch=resnet50", "init.layers=layer5.*"): "init.layers=layer5.*: no layer has such a name; the layers are conv1, ",
    ("init@init.rest=orthogonal",): "init@init.rest=orthogonal: init.layers=null leaves it no layer; give a pattern",
    ("init.layers=output", "init.rest=orthogonal"): (
        'init.rest="orthogonal": it holds keys, such as init.rest.weight; give those; say init@init.rest=orthogonal'
    ),
    ("loss=sum",): "loss=sum: there is no such option; give one of bce, cross_entropy, function, mse",
    ("loss=function",): "loss.function._target_: it has no value; give loss.function._target_=VALUE",
    ("dataset.augment=null",): "dataset.augment=null: it holds keys, such as dataset.augment.padding; give those",
    (
        "+dataset.augment.rotate=10",
    ): "dataset.augment.rotate=10: there is no such key; the nearest key is dataset.augment.padding; ",
    (
        "+dataset.normalize.foo=1",
    ): "dataset.normalize.foo=1: there is no such key; the nearest key is dataset.normalize.",
    (
        "dataset=digits",
        "dataset.augment.padding=8",
    ): "dataset.augment.padding=8: the images have 8x8 pixels; give 0 to 7",
    ("dataset=digits", "dataset.resize=100000"): "dataset.resize=100000: 1797 images of 1x100000x100000 are 66943",
    ("dataset=digits", "arch=cifar_cnn", "dataset.batch_size=8"): (
        "dataset.batch_size=8: an epoch ends with a batch of 1, for which arch=cifar_cnn does not fit dataset=digits"
    ),
    ("dataset.max_examples=0",): "dataset.max_examples=0: give a whole number from 1, or null",
    ("dataset=digits", "dataset.max_examples=100"): (
        "dataset.batch_size=128: the training set has 100 examples; give 1 to 100, or all"
    ),
    ("dataset.normalize.mean=1e39",): "dataset.normalize.mean=1e+39: give numbers that float32 has, up to 3e38",
    ("+arch._args_=[1]",): "arch._args_=[1]: zeroinit calls the function; give its arguments by name",
    (
        "+optimizer._partial_=false",
    ): "optimizer._partial_=False: zeroinit calls the function; give its arguments by name",
    ("+init.weight.generator=5",): "init.weight.generator=5: zeroinit gives it to the function; leave it out",
    ("dataset.normalize.std=1e-50",): "dataset.normalize.std=1e-50: give numbers greater than 0, as inputs are",
    ("dataset.channels=true",): "dataset.channels=True: give 1 (grey), 3 (colour) or null",
    ("init.layers=[]",): "init.layers=[]: give a pattern of layer names such as conv*, a list of them, or null",
    ("init.layers=3",): "init.layers=3: give a pattern of layer names such as conv*, a list of them, or null",
    ("loss.reduction=max",): "loss.reduction=max: give mean or sum",
    ("dataset=xor", "dataset.resize=8"): "dataset.resize=8: the data have shape (2,); give null, as they are no images",
    ("dataset=xor", "dataset.channels=3"): "dataset.channels=3: the data have shape (2,); give null",
    ("dataset=xor", "dataset.augment.flip=true"): (
        "dataset.augment={'padding': 0, 'flip': True}: the data have shape (2,) and are no images; give padding 0"
    ),
    ("dataset=digits", "arch=cifar_cnn", "dataset.resize=7"): "arch=cifar_cnn needs images of 8x8 pixels or more",
    ("dataset=cifar10", "dataset.root=nowhere"): "dataset=cifar10: a file in ",
    ("dataset=cifar10", "dataset.root=null"): "dataset.root=null: give the folder under which cifar-10-batches-py lies",
    ("arch.activation=swish",): "arch.activation=swish: choose one of elu, relu",
    ("arch._target_=nowhere.Net",): "arch._target_=nowhere.Net: Error loading 'nowhere.Net'",
    ("+arch.width=3",): "arch._target_=zeroinit.arch.FNN: got an unexpected keyword argument 'width'",
    ("optimizer.betas=[2,3]",): "optimizer: Invalid beta parameter at index 0: 2",
    (
        "init.bias._target_=torch.nn.init.orthogonal_",
    ): "init.bias._target_=torch.nn.init.orthogonal_ cannot fill hidden1.bias (500,)",
    ("dataset=digits", "arch=resnet50", "arithmetic=tied"): (
        "arithmetic=tied is for nets that can be stacked, but ResNet has a forward of its own; give arithmetic=native"
    ),
    ("-m", "dataset=digits", "arch=fnn,mnist_cnn", "arithmetic=quotient"): (
        "arithmetic=quotient is for chains of Flatten, Linear and activations, but conv1 is a Conv2d; give "
    ),
    ("dataset=digits", "arithmetic=quotient", "optimizer=sgd", "optimizer._target_=torch.optim.Adagrad"): (
        "arithmetic=quotient is for SGD, Adam, AdamW, NAdam, RAdam, Adamax, RMSprop, which update each entry alone; "
        "optimizer._target_ makes Adagrad: give arithmetic=native"
    ),
    ("device=cuda:99999999999999999999",): "device=cuda:99999999999999999999: give auto, cpu, cuda or cuda:N",
    ("dataset=teacher", "dataset.examples=10000000000"): "dataset.examples=10000000000: with 20 inputs, 3 hidden units",
    ("dataset=teacher", "dataset.outputs=10000000000"): "dataset.examples=1000: with 20 inputs, 3 hidden units and 1",
    (
        f"arch.hidden=[{'2,' * 5000}2]",
    ): "arch.hidden=[2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2...: it has 10,015",
    (f"arch.hidden={'[' * 60}{']' * 60}",): f"arch.hidden={'[' * 60}{']' * 60}: it has 60 levels of brackets; give",
    ("arithmetic=exact",): "arithmetic=exact: give native, tied or quotient",
    ("-m", "dtype=float64,float16"): "dtype=float16: give float32 or float64",
    ("probe.measure=[gradient,colour]",): (
        "probe.measure=[gradient,colour]: there is no probe colour; give a list of activation, curvature,"
    ),
    ("probe.measure=[gradient,arrival]",): (
        "probe.measure=[gradient,arrival]: the probe arrival is now named first_gradient"
    ),
    (
        "probe.measure=gradient",
    ): "probe.measure=gradient: give a list of activation, curvature, first_gradient, gradient, noise_scale, pairs,",
    ("probe.measure=[null]",): "probe.measure=[None]: there is no probe None; give a list of activation, curvature,",
    ("mode=later",): "mode=later: give train, lint, audit or plan",
    ("-m", "mode=audit", "seed=0,1"): "mode=audit: it replays one run; leave out -m, or give mode=lint",
    ("-m", "hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "mode=lint", "seed=0,1"): (
        "mode=lint: hydra/sweeper=optuna chooses runs by the results of earlier ones; give mode=train"
    ),
    ("probe.first_steps=-1",): "probe.first_steps=-1: give a whole number from 0",
    ("probe.per_decade=2.5",): "probe.per_decade=2.5: give a whole number from 0",
    ("probe.first_steps=0", "probe.per_decade=0"): (
        "probe.first_steps=0 and probe.per_decade=0: no step would be observed; give one from 1, or probe=none"
    ),
    ("probe.curvature=[]", "probe=all"): (
        "probe.curvature=[]: no step would be observed; give one from 0, or leave curvature out"
    ),
    ("probe.curvature=[-1]",): "probe.curvature=[-1]: give a list of whole numbers from 0 (numbers of updates)",
    ("probe.examples=0",): "probe.examples=0: give a whole number from 1",
    ("tracker.uri=folder",): "tracker.uri=folder: give sqlite:///FILE.db, another database or http(s)://SERVER",
    ("tracker.uri=http://127.0.0.1:9",): "tracker.uri=http://127.0.0.1:9: no server answers there within 10 s",
    ("tracker.uri=http://me:secret@127.0.0.1:9",): "tracker.uri=http://***@127.0.0.1:9: a password here",
    ("dataset=mnist", "dataset.root=nowhere"): "dataset=mnist: a file in ",
}
if not torch.cuda.is_available():
    BAD["device=cuda",] = "device=cuda: torch finds no CUDA device(s) here; give device=cpu or device=auto"


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_bad_input_is_one_line(words: tuple[str, ...], zeroinit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    ended = zeroinit(*words)
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {BAD[words]}")
    assert "secret" not in ended.err
    assert not Path("mlruns/mlflow.db").exists()
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["arch=resnet18"],
            "arch=resnet18: there is no such option; it is a model by name: give arch=torchvision arch.",
        ),
        (
            ["arch=test_vit"],
            "arch=test_vit: there is no such option; it is a model by name: give arch=timm arch.model=",
        ),
        (["init=nothing"], "init=nothing: there is no such option; give one of constant, default, "),
        (["-m", "init=zero,nothing"], "init=nothing: there is no such option; give one of constant, default, "),
        (["lr=0.5"], "lr=0.5: there is no such key; use optimizer.lr"),
        (["optimizer.nestrov=true"], "optimizer.nestrov=true: the config has no such key; "),
        (["-cn", "quikstart"], "-cn quikstart: there is no such config file; give a sweep of zeroinit, such as quick"),
        (["~tracker.uri"], "~tracker.uri: there is no such key, or its value is null, which Hydra cannot delete"),
        (["seed=range(8)"], "seed=range(8): it is an axis of a sweep; give -m"),
        (["seed=0,1"], "seed=0,1: more than one value is an axis of a sweep; give -m, or [A,B] for a list"),
        (["init=constant,zero"], "init=constant,zero: more than one value is an axis of a sweep; give -m"),
    ],
)
def test_what_hydra_refuses_is_one_line(words: list[str], said: str, zeroinit: Command) -> None:
    ended = zeroinit(*words)
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {said}")
    assert "hydra.cc" not in line


def test_hydra_may_be_installed_below_a_folder_of_our_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a virtual environment inside of a clone."""
    monkeypatch.setattr(composition, "HYDRA", tmp_path / "zeroinit" / ".venv" / "hydra")
    code = compile("def configure_log():\n    assert False", str(composition.HYDRA / "core" / "utils.py"), "exec")
    names: dict[str, Callable[[], None]] = {}
    exec(code, names)
    with pytest.raises(AssertionError) as raised:
        names["configure_log"]()
    assert str(composition.explain(raised.value)).startswith("hydra.verbose: give true, false")


@pytest.mark.parametrize("text", ["steps: 3\n", "", "hello\n"])
def test_a_config_file_without_our_defaults_is_one_line(text: str, zeroinit: Command) -> None:
    """It has none of zeroinit's callbacks either."""
    Path("own").mkdir()
    Path("own/base.yaml").write_text(text)
    ended = zeroinit("-cd", "own", "-cn", "base")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1


def test_jobs_that_would_share_a_folder_are_refused(zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, "hydra.sweep.subdir=x", "seed=1,2")
    assert ended.code == 2
    assert ended.err.startswith("zeroinit: hydra.sweep.subdir: ")
    assert "seed=1" in ended.err
    assert not Path("mlruns/mlflow.db").exists()


def test_an_exception_whose_text_cannot_be_made_is_named(zeroinit: Command) -> None:
    Path("mute.py").write_text(
        "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\n"
        "def weight(tensor):\n    raise Mute\n"
    )
    ended = zeroinit(*QUICK, "init.weight._target_=mute.weight")
    assert ended.code == 2
    assert ended.err.endswith("Mute (mute.py, line 5)\n")


def test_hydra_full_error_shows_the_exception(zeroinit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigCompositionException, match="Could not override 'lr'"):
        zeroinit("lr=0.5")
    monkeypatch.delenv("HYDRA_FULL_ERROR")
    assert zeroinit("lr=0.5").code == 2
    assert "HYDRA_FULL_ERROR" not in os.environ  # which workers would inherit


def test_a_server_that_accepts_and_says_nothing_is_told_within_15_s(zeroinit: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        ended = zeroinit(*QUICK, f"tracker.uri=http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - started < 15
    assert ended.code == 2
    assert "no server answers there within 10 s (ReadTimeout)" in ended.err


def test_a_broken_database_is_told_in_one_line(zeroinit: Command) -> None:
    Path("mlruns").mkdir()
    Path("mlruns/mlflow.db").write_bytes(b"not a database" * 100)
    ended = zeroinit(*QUICK)
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith("zeroinit: tracker.uri=sqlite:///mlruns/mlflow.db: ")
    assert "Traceback" not in ended.err


def test_a_password_is_kept_and_shown_nowhere(
    zeroinit: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for words in (["tracker.uri=http://me:secret@127.0.0.1:9"], ["-m", "tracker.uri=postgresql://me:secret@host/db"]):
        ended = zeroinit(*QUICK, *words)
        assert "secret" not in ended.out + ended.err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    ended = zeroinit(*QUICK)
    assert ended.err.startswith("zeroinit: MLFLOW_TRACKING_URI=http://***@127.0.0.1:9: no server answers there")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]


@pytest.mark.parametrize("values", ["null", "''", "[]"])
def test_an_empty_axis_in_a_sweep_file(values: str, zeroinit: Command, tmp_path: Path) -> None:
    text = f"defaults: [config, _self_]\nhydra: {{mode: MULTIRUN, sweeper: {{params: {{seed: {values}}}}}}}\n"
    (tmp_path / "empty.yaml").write_text(text)
    ended = zeroinit("-cd", ".", "-cn", "empty")
    assert (ended.code, ended.err) == (2, "zeroinit: seed=: the axis has no values; give at least one\n")
