"""`zeroinit -cp RUN/.hydra -cn config`: a saved config again."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers.stored_runs import histories, runs
from hydra import compose, initialize_config_dir
from mlflow.entities import Run
from omegaconf import OmegaConf

from zeroinit import CONF
from zeroinit.config.choices import infer_choices
from zeroinit.config.rerun import _remove_option

Command = Callable[..., object]
BEFORE = "It was trained before; rerun=true trains it again."
# a group's option, a function in its place, values, what an interpolation makes, a key that is gone, and a variable
WORDS = (
    "dataset=xor",
    "init=zero_normal",
    "arch.hidden=[4,4]",
    "bias_scale.value=0.5",
    "optimizer=adamw",
    "~optimizer.weight_decay",
    "init.weight._target_=fills_by_x.fill",
    "steps=7",
    "probe=none",
    "+hydra.job.env_set.X=3${seed}",
)
FILL = """
import os

def fill(tensor, generator):
    tensor.uniform_(0, float(os.environ["X"]), generator=generator)
"""


@pytest.fixture(autouse=True)
def _mine(monkeypatch: pytest.MonkeyPatch, database: Path) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    Path("fills_by_x.py").write_text(FILL)


def run_of(sweep: str, seed: int = 0) -> Run:
    return next(run for run in reversed(runs(sweep)) if run.data.params["seeds.init"] == str(seed))


def identities(sweep: str) -> list[str]:
    return [run.data.tags["identity"] for run in runs(sweep)]


def test_a_single_run(zeroinit: Command) -> None:
    assert zeroinit(*WORDS, "hydra.run.dir=job").code == 0
    saved = ("-cp", "job/.hydra", "-cn", "config")
    again = zeroinit(*saved)
    assert (again.code, again.err) == (0, "")
    assert BEFORE in again.out
    assert zeroinit("--config-path=job/.hydra", "rerun=true", "hydra.run.dir=again").code == 0
    first, second = runs("zeroinit")
    assert histories(first) == histories(second)
    assert first.data.params == second.data.params | {"rerun": "false"}
    assert first.data.tags["identity"] == second.data.tags["identity"]
    assert first.data.params["arch"] == "fnn"
    assert BEFORE in zeroinit("-cp", "again/.hydra", "rerun=false").out  # of a run that came from a saved config itself
    assert zeroinit("-m", "-cp", "job/.hydra", "seed=0,1").code == 0
    assert len(runs("sweep")) == 2  # as any grid from the command line


def test_another_seed_or_option_of_it(zeroinit: Command) -> None:
    assert zeroinit(*WORDS, "hydra.run.dir=job").code == 0
    for words in (
        ("seed=3",),
        ("init=zero_uniform",),
        ("optimizer=sgd", "optimizer.lr=0.1"),
        ("init.layers=output", "init@init.rest=zero"),
    ):
        assert zeroinit("-cp", "job/.hydra", *words).code == 0
        typed = [word for word in WORDS if word.split("=")[0] not in [word.split("=")[0] for word in words]]
        if "optimizer=sgd" in words:
            typed.remove("~optimizer.weight_decay")
        if "seed=3" in words:  # Hydra's file of a single run has the variable as it was
            typed = [word.replace("3${seed}", "30") for word in typed]
        if "init=zero_uniform" in words:
            typed.remove("init.weight._target_=fills_by_x.fill")
        assert BEFORE in zeroinit(*typed, *words).out, words
    assert len(set(identities("zeroinit"))) == 5


def test_a_job_of_a_sweep(zeroinit: Command) -> None:
    assert zeroinit("-m", *WORDS, "seed=0,1", "hydra.sweep.dir=out").code == 0
    again = zeroinit("-cp", "out/1/.hydra", "-cn", "config")
    assert (again.code, again.err) == (0, "")
    assert BEFORE in again.out
    assert zeroinit("-cp", "out/1/.hydra", "-cn", "config", "rerun=true").code == 0
    first, second = [run for run in runs() if run.data.params["seeds.init"] == "1"]
    assert first.data.tags["identity"] == second.data.tags["identity"]
    ends = [dict(histories(run)["test/loss"])[7] for run in (first, second)]
    assert ends[0] == pytest.approx(ends[1], rel=1e-5)
    assert zeroinit("-cp", "out/1/.hydra", "-cn", "config", "seed=5").code == 0
    assert run_of("sweep", 5).data.params["seeds.order"] == "5"
    more = zeroinit("-m", "-cp", "out/1/.hydra", "-cn", "config", "seed=1,5,6")
    assert more.code == 0
    assert "2 of 3 runs were trained before" in more.out


def test_what_a_sweep_file_defines_is_still_referred_to(zeroinit: Command) -> None:
    Path("own").mkdir()
    Path("own/widths.yaml").write_text(
        "defaults: [config, override dataset: xor, override probe: none, _self_]\n"
        "width: 4\n"
        "inits: zero,default\n"
        "steps: 2\n"
        "arch: {hidden: ['${width}']}\n"
        "seed: ${hydra:job.num}\n"
        "hydra: {mode: MULTIRUN, sweep: {dir: out}, sweeper: {params: {init: '${inits}'}}}\n"
    )
    assert zeroinit("-cd", "own", "-cn", "widths").code == 0
    again = zeroinit("-cp", "out/1/.hydra")
    assert BEFORE in again.out
    assert zeroinit("-cp", "out/1/.hydra", "width=6", "seed=3").code == 0
    assert {run.data.params["arch.hidden"] for run in runs("widths")} == {"[4]", "[6]"}
    assert run_of("widths", 3).data.params["seeds.order"] == "3"


def test_a_folder_from_before_there_was_a_hydra_yaml(zeroinit: Command) -> None:
    """It has the resolved values alone, so that the options are those that have most in common with them."""
    assert zeroinit("-m", *WORDS, "seed=0", "hydra.sweep.dir=out").code == 0
    first = run_of("sweep")
    config = Path("out/0/.hydra/config.yaml")
    Path("out/0/.hydra/hydra.yaml").unlink()
    values = yaml.safe_load(config.read_text())
    values |= {"seeds": dict.fromkeys(values["seeds"], 0), "epochs": None}
    config.write_text(yaml.dump(values))
    words = ("-cp", "out/0/.hydra", "sweep=sweep", "+hydra.job.env_set.X=30")
    assert BEFORE in zeroinit(*words).out
    assert zeroinit(*words, "rerun=true").code == 0
    assert run_of("sweep").data.params == first.data.params | {"rerun": "true", "sweep": "sweep"}
    ended = zeroinit(*words, "seed=3")
    assert ended.code == 2
    assert ended.err.startswith("zeroinit: seed=3: no key of out/0/.hydra/config.yaml refers to it; give seeds.init=3")


@pytest.mark.parametrize(
    "key", ["dataset", "arch", "init", "bias_scale", "optimizer", "schedule", "loss", "probe", "tracker"]
)
def test_each_shipped_option_is_known_by_its_values(key: str) -> None:
    for option in sorted(path.stem for path in (CONF / key).glob("*.yaml")):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            values = OmegaConf.to_container(compose("config", [f"{key}={option}"]))
        assert infer_choices(values)[key] == option


def test_another_init_than_keep_has_the_default_of_each_role() -> None:
    """Keys of config.yaml that the option changed get their defaults; those that a user typed stay."""
    ours, option = (OmegaConf.load(CONF / name) for name in ("config.yaml", "init/keep.yaml"))
    changed = {"layers": "hidden*", "other": "zeros"}
    saved = {"init": {**OmegaConf.to_container(ours.init), **OmegaConf.to_container(option), **changed}}
    left = _remove_option(saved, ours, ["init"], ["init.rest"], OmegaConf.to_container(option))["init"]
    assert left == {**OmegaConf.to_container(ours.init), **changed}


def test_a_folder_that_is_not_there_is_that_of_the_current_folder(zeroinit: Command) -> None:
    ended = zeroinit("-cp", "nowhere", "-cn", "config")
    assert ended.code != 0
    assert str(Path("nowhere").absolute()) in ended.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "{path}: line 2 is not YAML: while parsing"),
        ("- 1", "{path}: it holds no keys; give the config.yaml of a run's folder .hydra"),
        (
            "hydra: {}",
            "{path}: it has a node hydra and no defaults list, like the file that Hydra writes for a sweep; give",
        ),
        ("seed: 1", "dataset: there is no such key in the config; it is needed"),
    ],
)
def test_a_file_that_is_no_saved_config(text: str, said: str, zeroinit: Command) -> None:
    Path("own").mkdir()
    Path("own/config.yaml").write_text(text)
    ended = zeroinit("-cp", "own", "-cn", "config")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {said.format(path=Path('own/config.yaml').absolute())}")


def test_secrets_are_not_saved(zeroinit: Command) -> None:
    assert zeroinit("-m", *WORDS, "+hydra.job.env_set.MY_TOKEN=abcde", "seed=0", "hydra.sweep.dir=out").code == 0
    for path in Path("out/0").rglob("*.yaml"):
        assert "abcde" not in path.read_text()


@pytest.mark.parametrize("option", ["--experimental-rerun", "--exp"])
def test_a_pickle_of_hydra_is_not_read(option: str, zeroinit: Command) -> None:
    Path("job.pickle").write_bytes(b"cos\nmkdir\n(S'harmed'\ntR.")
    for words in ([option, "job.pickle"], [f"{option}=job.pickle"]):
        ended = zeroinit(*words)
        assert ended.code == 2
        assert ended.err.startswith(f"zeroinit: {words[0]}: it reads a pickle, which is code; give -cp RUN/.hydra")
    assert not Path("harmed").exists()
