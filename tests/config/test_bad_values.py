"""Generated inputs: each is refused in one sentence with exit code 2, or is a run that builds; none is a traceback."""

import functools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from hydra_plugins.zeroinit.compose import Composer
from zeroinit import CONF, build
from zeroinit.build import checks, limits
from zeroinit.config import arguments, composition
from zeroinit.config.compose import job_of as compose_job
from zeroinit.config.unknown import known_keys
from zeroinit.dataset import images
from zeroinit.errors import BadInput

Command = Callable[..., Any]
QUICK = ("tracker=off", "dataset=xor", "steps=2")
NUMBERS = ["-1", "0", "1.5", "1e30", "nan", "inf", "-inf", str(10**30), "true"]
VALUES = [*NUMBERS, "null", "text", "''", "'ü 漢'", "x" * 3000, "[]", "{}", "[null]", "[nan]", "[[1]]", "{a: 1}"]

OPTIONS: dict[str, tuple[str, ...]] = {  # keys that the default options do not have
    "optimizer.momentum": ("optimizer=momentum",),
    "optimizer.alpha": ("optimizer=rmsprop",),
    "optimizer.foreach": ("optimizer=rmsprop",),
    "init.weight.val": ("init=constant",),
    "init.weight.value": ("init=layer_constant",),
    "init.weight.std": ("init=small_normal",),
    "init.weight.nonlinearity": ("init=kaiming_normal",),
    "init.bias.a": ("init=zero_uniform_matched",),
    "init.bias.b": ("init=zero_uniform_matched",),
    "init.bias.least": ("init=zero_log_uniform",),
    "init.bias.most": ("init=zero_log_uniform",),
    "dataset.folder": ("dataset=image_folder",),
    "dataset.cache": ("dataset=image_folder", "dataset.folder=nowhere"),
    "dataset.val_fraction": ("dataset=image_folder",),
    "dataset.root": ("dataset=mnist",),
    "tracker.uri": ("tracker=mlflow",),
    **{f"schedule.{key}": ("schedule=ramp",) for key in ("steps", "factor")},
    **{f"schedule.{key}": ("schedule=cosine",) for key in ("T_max", "eta_min")},
    **{f"schedule.{key}": ("schedule=cosine_restarts", "steps=100") for key in ("T_0", "T_mult")},
    **{f"schedule.{key}": ("schedule=linear",) for key in ("start_factor", "end_factor", "total_iters")},
    **{f"schedule.{key}": ("schedule=step", "steps=101") for key in ("step_size", "gamma")},
    "schedule.power": ("schedule=polynomial",),
    "schedule.milestones": ("schedule=multi_step",),
    **{
        f"schedule.{key}": ("schedule=one_cycle",)
        for key in ("max_lr", "total_steps", "pct_start", "anneal_strategy", "cycle_momentum")
    },
    **{f"schedule.{key}": ("schedule=one_cycle",) for key in ("div_factor", "final_div_factor")},
}
KEYS = [key for key in known_keys() if not key.startswith("init.rest.") and not (CONF / key).is_dir()]


@functools.cache
def make_composer() -> Composer:
    """Return what composes the jobs of a sweep from the shipped options."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        return Composer(loader, loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN))


def build_words(*words: str) -> None:
    """Compose a job as a sweep does, and build what it would train. Raises what is wrong with it."""
    cfg = make_composer().job(0, words)
    HydraConfig.instance().set_config(cfg)
    build.check([compose_job(cfg)])


@pytest.mark.parametrize("key", KEYS)
def test_a_value_is_refused_or_builds(key: str) -> None:
    """Of every key there is, with some of the values, others for each key."""
    for value in random.Random(key).sample(VALUES, 6):
        said = refusal(*QUICK, *OPTIONS.get(key, ()), f"{key}={value}")
        assert said is None or len(said) > 10, value


def refusal(*words: str) -> str | None:
    """The sentence that refuses the job; None where it builds."""
    try:
        build_words(*words)
    except BadInput as error:
        return str(error)
    except Exception as error:
        explained = composition.explain(error)
        if explained is None:
            raise
        return str(explained)
    return None


REFUSED = {
    "optimizer.fused": ["abc", "1", "1e30", "[]"],
    "optimizer.lr": ["true", "nan", "inf", "-1", str(10**30), "null", "[0.1]"],
    "optimizer.betas": ["[0.9,0.9,0.9]", "[0.9]", "[]", "0.9", "[0.9,nan]", "[0.9,true]", "[0.9,1]", "null"],
    "optimizer.weight_decay": ["-1", "nan", "inf", "true", "null", "text"],
    "optimizer.momentum": ["nan", "inf", "true", "-1", "null"],
    "optimizer.alpha": ["nan", "true", "-1"],
    "optimizer.foreach": ["abc", "0", "{}"],
    "arch.hidden": ["[true]", "[1.5]", "[0]", "[-1]", "[nan]", "true", "null", "text", "[[1]]", f"[{10**22}]"],
    "arch.activation": ["true", "null", "5", "[elu]"],
    "init.weight.val": ["nan", "inf", "true", "null", "text"],
    "init.weight.std": ["nan", "inf", "-1", "true"],
    "init.weight.nonlinearity": ["reelu", "5", "null"],
    "init.bias.a": ["nan", "true", "-inf", "text"],
    "init.bias.least": ["nan", "0", "true", "inf"],
    "bias_scale.value": ["nan", "-1", "inf", "true", str(10**30)],
    "seed": [str(2**64), str(10**30), "true", "1.0", "-1"],
    "seeds.order": [str(2**64), "nan"],
    "steps": ["100000001", str(10**12), str(10**30), "true", "0"],
    "threads": ["100000", "true", "0"],
    "schedule.steps": [str(10**30), "true", "-1"],
    "schedule.factor": ["nan", "true", "0", "-1"],
    "dataset.max_examples": [str(10**30), "true", "0"],
    "probe.examples": ["129", str(10**12), "true", "0"],
    "probe.first_steps": [str(10**30), "true"],
    "probe.curvature": ["[true]", f"[{10**30}]", "[-1]", "text"],
    "claims": ["true", "5", "[5]", "null"],
}


@pytest.mark.parametrize("key", REFUSED)
def test_nonsense_is_refused(key: str) -> None:
    for value in REFUSED[key]:
        with pytest.raises(BadInput) as raised:
            build_words(*QUICK, *OPTIONS.get(key, ()), f"{key}={value}")
        assert key.partition(".")[0] in str(raised.value), value


def test_what_torch_takes_is_accepted() -> None:
    for words in (
        ["optimizer.fused=null"],
        ["optimizer.fused=false", "+optimizer.foreach=true", "+optimizer.amsgrad=true"],
        ["optimizer.lr=1", "optimizer.betas=[0.0,0.5]", "optimizer.weight_decay=1e-3", "+optimizer.eps=1e-6"],
        ["optimizer=momentum", "optimizer.momentum=0", "+optimizer.nesterov=false"],
        ["init=small_normal", "init.weight.std=0", "+init.weight.mean=-2"],
        ["init=kaiming_normal", "init.weight.nonlinearity=tanh", "+init.weight.mode=fan_out"],
        ["probe.examples=4", f"seed={2**64 - 1}"],
    ):
        build_words(*QUICK, *words)


def test_a_net_that_memory_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """On torch's meta device, so that nothing of it is there."""
    with pytest.raises(BadInput, match=r"^arch=fnn: 500,000,000,002 parameters with their gradients and moments are "):
        build_words(*QUICK, f"arch.hidden=[{10**11}]")
    for there, fits in ((4 * 4 * 22, True), (4 * 4 * 22 - 1, False)):  # 3 x 4 weights and 4 + 2 biases, 4 copies
        monkeypatch.setattr(limits, "physical_memory", lambda there=there: there)
        checks.checked_layers.clear()
        if fits:
            build_words(*QUICK, "arch.hidden=[4]")
        else:
            with pytest.raises(BadInput, match=r"^arch=fnn: 22 parameters"):
                build_words(*QUICK, "arch.hidden=[4]")
    assert images.physical_memory() > 2**28


def test_epochs_of_too_many_steps() -> None:
    words = ("tracker=off", "dataset=digits", "arch=logistic")
    with pytest.raises(BadInput, match=r"^epochs=99999999: that is 999,999,990 steps; give at most 10000000$"):
        build_words(*words, "epochs=99999999")


# ---- the command: groups, axes and files of sweeps

GROUPS = ("dataset", "arch", "init", "init@init.rest", "bias_scale", "optimizer", "probe", "tracker")


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_no_option_of_a_group(group: str, zeroinit: Command) -> None:
    chosen = random.Random(group).sample(["5", "true", "[]", "[[1]]", "'${'", "nan", "1e-320", "a/b", "''"], 2)
    for value in ["null", "[null]", "{}", *chosen]:
        assert_refused(zeroinit(*QUICK, f"{group}={value}"))


def assert_refused(ended: Any) -> str:
    """The sentence with which a command has stopped before any training."""
    assert (ended.code, ended.out) == (2, ""), ended
    [line] = ended.err.splitlines()
    assert line.startswith("zeroinit: ")
    assert len(line) < 2000
    assert not Path("mlruns/mlflow.db").exists()
    return str(line.removeprefix("zeroinit: "))


AXES = {
    "seed=range(0,3,0)": "seed=range(0,3,0): the axis cannot be read: ",
    "seed=range(0,1000000000)": "seed=range(0,1000000000): the axis has more than 1,000,000 values; give fewer",
    "seed=range(0,inf)": "seed=range(0,inf): ",
    "seed=range(0,1,1e-320)": "seed=range(0,1,1e-320): the axis has more than",
    "seed=range(0,1000) optimizer.lr=range(0,1000)": (
        "seed=range(0,1000) optimizer.lr=range(0,1000): these axes are 1,000,000 runs, whose configs take "
        "about 33 GiB of memory; give fewer values, or hydra.sweeper.max_jobs=1000000"
    ),
    "seed=range(a)": "seed=range(a): it cannot be read: ",
    "100": "100: it is not key=value; leave no blank beside the =",
    "seed=0,,1": "seed=0,,1: it cannot be read: ",
    "seed=sort(1,a)": "seed=sort(1,a): it cannot be read: ",
    "seed=nothing(1)": "seed=nothing(1): it cannot be read: ",
    "seed=0,[]": "seed=[]: give a whole number from 0",
    "seed=[0,1": "",
    "seed='": "",
    "=5": "",
    "+init=zero": "+init: the config has an option of init already; leave out the +",
    "init=zero,null": "init=null: give the name of one option, one of constant, default, ",
    "init=[zero],zero": "init=['zero']: give the name of one option, one of constant, default, ",
    "arch=fnn,5": "arch=5: give the name of one option, one of cifar_cnn, ",
    "optimizer=adam,{}": "optimizer={}: give the name of one option, one of adam, ",
    "arch.hidden=[2],[true]": "arch.hidden=[True]: give the widths as a list of positive whole numbers",
    "steps=1,1000000000000": "steps=1000000000000: give a whole number from 1 to 100000000",
    "~arch": "arch: there is no such key in the config; it is needed",
    "~seeds.init": "seeds.init: there is no such key in the config; it is needed",
    "hydra.sweeper.params=5": "hydra.sweeper.params=5: give keys, each with the values of an axis",
    "hydra.sweeper.skip_if=[{init:zero}] hydra/sweeper=basic": (
        "hydra.sweeper.skip_if=[{init:zero}]: the sweeper that hydra/sweeper chooses has no such key; leave out one"
    ),
    "seed=0,1,0 hydra/sweeper=basic": "seed=0,1,0: the axis has the value 0 twice; give each value once",
    "hydra.sweeper=text": "hydra.sweeper=text: choose one by hydra/sweeper=NAME, and change only its keys",
    "hydra.launcher.workers=1 hydra.launcher=5": "hydra.launcher=5: choose one by hydra/launcher=NAME",
    "hydra/launcher=nothing": "hydra/launcher=nothing: there is no such option; give one of ",
    "hydra/launcher=null": "hydra/launcher=null: give the name of one option, such as zeroinit",
    "hydra.verbose=1.5": "hydra.verbose: give true, false, or a list of names of loggers",
    "hydra.sweep.dir=/dev/null/x": "hydra.sweep.dir=/dev/null/x: Not a directory: /dev/null/x; give a folder that can",
    "init.rest.weight.std=1": "init.rest.weight.std=1: the config has no such key; ",
    "+init.rest.weight.std=1": "init.rest.weight.std=1: init.layers=null leaves it no layer; give a pattern there too",
}


@pytest.mark.parametrize("axis", AXES)
def test_an_axis_that_is_none(axis: str, zeroinit: Command) -> None:
    assert assert_refused(zeroinit("-m", *QUICK, *axis.split())).startswith(AXES[axis])


HEAD = "defaults: [config, override dataset: xor, override tracker: 'off', _self_]\n"


def params(text: str) -> str:
    return f"{HEAD}hydra: {{mode: MULTIRUN, sweeper: {{params: {text}}}}}\n"


FILES = {
    "- a\n- b\n": "",
    "hello": "",
    "defaults:\n\t- config\n": "mine.yaml: line 2 is not YAML: while scanning for the next token, found character ",
    "defaults: [config, _self_\n": "mine.yaml: line 2 is not YAML: ",
    f"{HEAD}a: b: c\n": "mine.yaml: line 2 is not YAML: mapping values are not allowed in this context",
    "steps: 2\n": "",
    "defaults: 5\n": "",
    "defaults: config\n": "",
    "defaults: [5]\n": "a defaults list takes names of options, not a value of type int; quote it, as in 'off'",
    "defaults: [config, {override init: [zero, 5]}, _self_]\n": "",
    "defaults: [config, {override init: nothing}, _self_]\n": "init=nothing: there is no such option; give one of ",
    "defaults: [config, {override tracker: off}, _self_]\n": "a defaults list takes names of options, not a value of ",
    "defaults: [nowhere, _self_]\n": "-cn nowhere: there is no such config file; ",
    "defaults: [mine, _self_]\n": "",
    f"{HEAD}init: [zero]\n": "mine: the file gives a list where keys are needed, or keys where a list is needed",
    f"{HEAD}arch: null\n": "",
    f"{HEAD}arch: 5\n": "",
    f"{HEAD}seeds: [1]\n": "mine: the file gives a list where keys are needed, or keys where a list is needed",
    f"{HEAD}steps: ${{nothing}}\n": "",
    f"{HEAD}a: ${{b}}\nb: ${{a}}\n": "a: there is no such key, and no key refers to ${a}; ",
    f"{HEAD}steps: .inf\n": "steps=inf: give a whole number from 1",
    f"{HEAD}hydra: 5\n": "",
    f"{HEAD}hydra: {{mode: NOTHING}}\n": "",
    f"{HEAD}hydra: {{mode: MULTIRUN, sweeper: 5}}\n": "hydra.sweeper=5: choose one by hydra/sweeper=NAME",
    params("5"): "hydra.sweeper.params=5: give keys, each with the values of an axis",
    params("[1]"): "mine: the file gives a list where keys are needed, or keys where a list is needed",
    params("{init: 'zero,'}"): "init=zero,: it cannot be read: ",
    params("{init: {a: 1}}"): "",
    params("{init: [zero, null, 5]}"): "init=null: give the name of one option",
    params("{optimizer.lr: [0.1, .nan]}"): "optimizer.lr=nan: give a finite number, 0 or greater",
    params("{seed: 'range(0,3,0)'}"): "seed=range(0,3,0): the axis cannot be read: ",
    params("{nothing: '1,2'}"): "nothing=1: there is no such key; the nearest key is ",
    params("{init: '${nothing}'}"): "",
    params("{null: zero}"): "",
}


@pytest.mark.parametrize("text", FILES, ids=lambda text: json.dumps(text)[-60:])
def test_a_sweep_file_that_is_none(text: str, zeroinit: Command) -> None:
    Path("mine.yaml").write_text(text)
    line = assert_refused(zeroinit("-cd", ".", "-cn", "mine", *([] if "steps" in text else ["epochs=null", "steps=2"])))
    assert line.startswith(FILES[text]) or line.startswith(f"{Path.cwd()}/{FILES[text]}")


@pytest.mark.parametrize("words", [["hydra.run.dir=/dev/null/x"], ["hydra.run.dir=null"], ["-cd", "nowhere"]])
def test_a_folder_that_is_none(words: list[str], zeroinit: Command) -> None:
    assert_refused(zeroinit(*words, *QUICK))


# ---- claims

COMPARED = "cells:{init:zero},test:superior,reference:"
CLAIMS = {
    "cells:{init:zero},test:wakes_in_order,order:[output,nothing]": (
        "claims[0].order: arch=fnn has no layer nothing; its layers are hidden1, output"
    ),
    "cells:{init:ones},test:predicts_one_class": (
        "claims[0].cells={init: ones}: no run of the sweep is such a cell; in its runs init is default or zero"
    ),
    "cells:{init:[zero,ones]},test:predicts_one_class": (
        "claims[0].cells={init: ones}: no run of the sweep is such a cell; "
    ),
    "cells:{init:zero,optimizer.lr:7},test:predicts_one_class": (
        "claims[0].cells={init: zero, optimizer.lr: 7}: no run of the "
    ),
    f"{COMPARED}{{init:ones}},margin:0": "claims[0].reference={init: ones}: no run of the sweep",
    f"{COMPARED}{{init:default}},margin:-1": "claims[0].margin=-1: give percentage points ",
    f"{COMPARED}{{init:default}},margin:nan": "claims[0].margin=nan: give percentage points",
    f"{COMPARED}{{init:default}},margin:true": "claims[0].margin=True: give percentage ",
    "cells:{init:[[zero]]},test:predicts_one_class": (
        "claims[0].cells.init=['zero']: there is no such option; give one of "
    ),
    "cells:{init:null},test:predicts_one_class": "claims[0].cells.init=None: there is no such option; give one of ",
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_about_what_is_not_there(claim: str, zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, "init=default,zero", f"claims=[{{statement:so,{claim}}}]")
    assert assert_refused(ended).startswith(CLAIMS[claim])


def test_an_axis_that_was_narrowed_leaves_claims_without_a_cell(zeroinit: Command) -> None:
    claim = (
        "claims: [{statement: so, cells: {init: zero}, test: non_inferior, reference: {init: default}, margin: 1}]\n"
    )
    Path("mine.yaml").write_text(params("{init: 'zero,default'}") + claim + "epochs: null\nsteps: 2\n")
    ended = zeroinit("-cd", ".", "-cn", "mine", "init=zero")
    assert ended.code == 0, ended.err
    assert "no such cell in this sweep" in " ".join(ended.out.split())
    Path("mine.yaml").write_text(params("{init: 'zero,ones'}") + claim + "epochs: null\nsteps: 2\n")
    assert assert_refused(zeroinit("-cd", ".", "-cn", "mine")).startswith(
        "claims[0].reference={init: default}: no run of the "
    )
    assert zeroinit("-cd", ".", "-cn", "mine", "init=zero").code == 0  # the same claim, of an axis that was narrowed


def test_the_types_of_arguments() -> None:
    def function(rate: float, pair: tuple[float, float], flag: bool | None, count: int, name: str) -> None: ...

    function.__module__ = "zeroinit.mine"
    fine = {"rate": 1, "pair": [0, 0.5], "flag": None, "count": 3, "name": 5}
    arguments.check_values("key", function, fine)
    for name, value in {"rate": True, "pair": [1], "flag": 0, "count": 1.0}.items():
        with pytest.raises(BadInput, match=rf"^key\.{name}="):
            arguments.check_values("key", function, fine | {name: value})
    function.__module__ = "mine"
    arguments.check_values("key", function, fine | {"rate": True})  # a user's function checks its own values
