"""A key that nothing reads stops the command in one sentence, with the nearest key; helper keys are allowed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended

from zeroinit.config import Job
from zeroinit.config.unknown import known_keys, references_of
from zeroinit.errors import BadInput

Command = Callable[..., object]
QUICK = ("tracker=off", "dataset=xor", "steps=2")

NEAREST = {  # what is typed: the advice
    "+lr=0.5": "use optimizer.lr",
    "+hidden=3": "use arch.hidden",
    "+batch_size=4": "use dataset.batch_size",
    "+learning_rate=1": "use optimizer.lr",
    "+epoch=3": "use epochs",
    "+loss.name=mse": "the nearest key is loss.task",
    "+seeds.foo=1": "the nearest key is seeds.forward; seeds has init, order, augment, forward, split",
    "+probe.every=5": "the nearest key is probe.measure; probe has first_steps, per_decade, curvature, ",
    "+init.gain=2": "the nearest key is init.embedding; init has layers, embedding, recurrent, "
    "scale, shift, other, rest, weight, bias",
    "+init.rest.gain=2": "the nearest key is init.rest.embedding; init.rest has weight, bias, embedding, "
    "recurrent, scale, shift, other",
    "+init.batch_size=2": "use dataset.batch_size",
    "+scheduler=cosine": "use schedule",
    "+dataset.normalize.foo=1": "the nearest key is dataset.normalize.mean; dataset.normalize has mean, std",
    "+extra.deep.a=1": "use ",
    "lr=0.5": "use optimizer.lr",
    "optimiser.lr=0.5": "use optimizer.lr",
    "seeds.foo=1": "the nearest key is seeds.forward; ",
}
UNKNOWN = {f"{word}": f"{word.lstrip('+')}: there is no such key; {advice}" for word, advice in NEAREST.items()} | {
    "+extra={}": "extra: there is no such key; ",
    "+init@other=zero": "other.weight._target_=torch.nn.init.zeros_: there is no such key, and no key refers to ",
    "+size=small": "size: no key refers to ${size}, so it changes nothing; leave it out",
    "+size.epochs=3": "size.epochs=3: no key refers to ${size.epochs}, so it changes nothing; leave it out",
    "+published.epochs=3": "published.epochs=3: no key refers to ${published.epochs}, so it changes nothing; ",
    "optimizer.nestrov=true": "optimizer.nestrov=true: the config has no such key; the nearest key is optimizer.betas",
    "+tracker.foo=1": "tracker._target_=zeroinit.tracker.memory.Off: got an unexpected keyword argument 'foo'; ",
    "+dataset.foo=1": "dataset._target_=zeroinit.dataset.xor: got an unexpected keyword argument 'foo'; ",
    "+arch.foo=1": "arch._target_=zeroinit.arch.FNN: got an unexpected keyword argument 'foo'; the keys that it takes",
    "+optimizer.foo=1": "optimizer._target_=torch.optim.Adam: got an unexpected keyword argument 'foo'; ",
    "+bias_scale.foo=1": "bias_scale._target_=zeroinit.bias_scale.constant: got an unexpected keyword argument 'foo'",
    "+init.weight.std=1": "init.weight._target_=zeroinit.init.default_: got an unexpected keyword argument 'std'; ",
    "loss.task=regression": "loss.task=regression: the config has no such key; it is a key of loss=function, or ",
    "arch.cell=gru": "arch.cell=gru: the config has no such key; it is a key of arch=rnn, or give ++arch.cell=gru if ",
    "dataset.train._target_=f": "dataset.train._target_=f: the config has no such key; it is a key of dataset=torch, ",
    "schedule.gamma=1": "schedule.gamma=1: the config has no such key; it is a key of schedule=exponential, "
    "schedule=multi_step and schedule=step, or ",
    "init.weigth._target_=f": "init.weigth._target_=f: there is no such key; use init.weight._target_",
    "init.other._target_=f": "init.other._target_=f: the config has no such key; give +init.other._target_=f",
    "init.rest.shift.a=1": "init.rest.shift.a=1: the config has no such key; give +init.rest.shift.a=1",
    "+hydra.foo=1": "hydra.foo: Hydra has no such key; the nearest key is hydra.",
    "+hydra.job.chdr=true": "hydra.job.chdr: Hydra has no such key; the nearest key is hydra.job.chdir",
}


@pytest.mark.parametrize("word", UNKNOWN)
def test_a_key_that_nothing_reads_is_refused(word: str, zeroinit: Command) -> None:
    ended = zeroinit(*QUICK, word)
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {UNKNOWN[word]}")
    assert (ended.code, ended.out) == (2, "")


@pytest.mark.parametrize("axis", ["+scheduler=constant,cosine", "+lr=0.1,0.5", "+loss.name=mse,l1", "+seeds.foo=0,1"])
def test_an_axis_that_nothing_reads_is_refused(axis: str, zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, axis)
    [line] = ended.err.splitlines()
    key, _, values = axis.lstrip("+").partition("=")
    assert line.startswith(f"zeroinit: {key}={values.partition(',')[0]}: there is no such key; ")
    assert (ended.code, ended.out) == (2, "")


def sweep_file(text: str) -> list[str]:
    """The words that run a sweep file of two inits with the text in it."""
    head = "defaults: [config, override dataset: xor, override tracker: 'off', _self_]\n"
    tail = "hydra: {mode: MULTIRUN, sweeper: {params: {init: 'zero,default'}}}\n"
    Path("mine.yaml").write_text(head + text + ("" if "sweeper" in text else tail))
    return ["-cd", ".", "-cn", "mine"]


@pytest.mark.parametrize(
    "text",
    [
        "mine: 2\nsteps: ${mine}\n",
        "mine: {few: 2, many: 5}\nsteps: ${mine.few}\n",  # a file may keep what it does not use now
        "mine: {few: 2, many: 5}\nwhich: few\nsteps: ${mine.${which}}\n",
        "few: 2\nmine: ${few}\nsteps: ${mine}\n",
        "mine: {few: 2}\nsteps: ${oc.select:mine.few,3}\n",
        "steps: 2\narch: {hidden: ['${wide}']}\nwide: 3\n",
        "steps: 2\ninit: {sd: 0.1, weight: {_target_: torch.nn.init.normal_, std: '${..sd}'}}\n",
        "steps: 2\nmine: zero,default\nhydra: {mode: MULTIRUN, sweeper: {params: {init: '${mine}'}}}\n",
    ],
)
def test_a_file_may_have_helper_keys_that_others_refer_to(text: str, zeroinit: Command) -> None:
    ended = zeroinit(*sweep_file(text))
    assert ended.code == 0, ended.err
    assert "2/2 runs" in ended.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mine: 2\n", "mine=2: there is no such key, and no key refers to ${mine}; "),
        ("optimizer: {lr: 0.1}\nloss: {name: mse}\n", "loss.name=mse: there is no such key, and no key refers to ${l"),
        ("mine: 2\nmines: ${mine}\n", "mine=2: there is no such key, and no key refers to ${mine}; "),
        ("mine: 2\nmines: 3\nsteps: ${mines}\n", "mine=2: there is no such key, and no key refers to ${mine}; "),
        (
            "dataset: {augment: {base: 2, padding: '${.base}'}}\n",
            "dataset.augment.base=2: there is no such key, and no key refers to ${dataset.augment.base}",
        ),
        ("5: a\n", "5: there is no such key, and no key refers to ${5}; "),
    ],
)
def test_a_helper_key_that_nothing_refers_to_is_refused(text: str, said: str, zeroinit: Command) -> None:
    ended = zeroinit(*sweep_file(text), "epochs=null", "steps=2")
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {said}")
    assert ended.code == 2


def test_a_typed_helper_key_must_be_used_itself(job_of: Callable[..., Job]) -> None:
    job = job_of("+mine=3", "steps=${mine}")
    assert job.config.duration.steps == 3
    with pytest.raises(BadInput, match=r"^mine.b=2: there is no such key; "):
        job_of("+mine.a=3", "+mine.b=2", "steps=${mine.a}")


def test_a_helper_key_is_no_part_of_the_run(job_of: Callable[..., Job]) -> None:
    """It cannot change a number but by the keys that refer to it."""
    plain, helped = job_of("steps=3"), job_of("+mine=3", "steps=${mine}")
    assert (plain.config_hash, plain.params) == (helped.config_hash, helped.params)


def test_keys_of_a_function_of_the_users_own_are_its_own(zeroinit: Command) -> None:
    Path("mine.py").write_text(
        "from torch import nn\n\n\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, input_shape, num_classes, width):\n"
        "        super().__init__(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, num_classes))\n"
    )
    words = (*QUICK, "arch=logistic", "arch._target_=mine.Net")
    assert zeroinit(*words, "+arch.width=3").code == 0
    ended = zeroinit(*words, "+arch.width=3", "+arch.depth=2")
    assert ended.err.startswith(
        "zeroinit: arch._target_=mine.Net: got an unexpected keyword argument 'depth'; the keys"
    )
    assert ended.code == 2


def test_references() -> None:
    text = "${a.${b}} ${..c.d} ${unless:${steps},10} ${oc.select:foo.x,5} ${x[0].y}"
    assert {"b", "a", "p.c.d", "steps", "foo.x", "x.0.y"} <= {*references_of(text, ("p", "q"))}
    assert not {"c.d", "p.q.c.d"} & {*references_of(text, ("p", "q"))}


def test_the_nearest_key_is_one_that_can_be_typed() -> None:
    assert {"optimizer.lr", "arch.hidden", "init.rest.weight", "claims", "probe.measure"} <= {*known_keys()}
    assert not [key for key in known_keys() if key.startswith(("size", "published")) or "_target_" in key]


def test_a_key_of_an_option_on_an_axis_is_given_with_two_plus_signs(zeroinit: Callable[..., Ended]) -> None:
    """The default option of dataset has no root; Hydra composes it before the axes."""
    words = ("-cn", "figure3", "size=paper", "seed=0", "init=zero", "mode=plan")
    ended = zeroinit(*words, "dataset.root=nowhere")
    assert ended.code == 2
    assert "or give ++dataset.root=nowhere if the function, or an option on an axis, takes it" in ended.err
    assert "dataset.root=nowhere, which should hold MNIST/raw" in zeroinit(*words, "++dataset.root=nowhere").err
