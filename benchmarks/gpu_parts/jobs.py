"""The jobs of the parts: written with Hydra to a file, read back where there is none.

A job's hashes are of the device that it is for and of the data as they lay where the file was written; both stay as
they are on the machine that trains it, so that a second call of the script knows the runs of the first.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from zeroinit import CONF
from zeroinit.config import Job
from zeroinit.config.identity import hashes

FIGURES = ("figure5", "figure6", "figure9")
LATER = ("figure11", "faults_resnet50")  # ResNet-50: minutes a run
OUTCOMES, OUTCOMES_SMOKE = 50, 4  # runs whose outcome is compared with the CPU's
CHOICES: dict[str, list[Any]] = {
    "dataset": ["digits", "digits", "mnist"],
    "arch": ["logistic", "fnn", "fnn", "fnn", "mnist_cnn", "cifar_cnn"],
    "init": sorted(path.stem for path in (CONF / "init").glob("*.yaml")),
    "bias_scale.value": [0.01, 1, 1, 10, 100],
    "arch.activation": ["elu", "relu", "tanh", "sigmoid"],
    "optimizer": ["adam", "adam", "sgd", "momentum", "adamw", "rmsprop"],
    "optimizer.lr": [0.0001, 0.001, 0.01, 0.1],
    "steps": [30, 100, 300],
    "seed": list(range(1000)),
}


@dataclass(frozen=True)
class Task:
    """A job, the part that trains it, and the sweeps whose run it is (the same run may stand in several)."""

    part: str  # paper, outcomes or speed
    sweeps: list[str]
    job: Job

    @property
    def arch(self) -> str:
        return str(self.job.params["arch"])

    @property
    def seed(self) -> int:
        return int(self.job.params["seeds.init"])


def read_tasks(path: Path, data: Path | None) -> list[Task]:
    """Return the tasks of the file, which read their data under `data`."""
    tasks = []
    for entry in json.loads(path.read_text()):
        job = Job(**entry.pop("job"))
        if data and "root" in job.values["dataset"]:
            job.values["dataset"]["root"] = str(data)
        if data and "folder" in job.values["dataset"]:
            job.values["dataset"] |= {"folder": str(data / "cifar10-jpeg"), "cache": str(data / "decoded")}
        tasks.append(Task(job=job, **entry))
    return tasks


def write_tasks(path: Path, data: Path | None, device: str, smoke: bool) -> None:
    """Compose the jobs of all parts with Hydra. Without `smoke`, `data` holds the images whose hash they carry."""
    size = "smoke" if smoke else "paper"
    words = [f"size={size}", "device=cpu", "tracker=off", *["size.seeds=0"] * smoke]
    images = [] if smoke else ["size.cifar10=image_folder", f"+dataset.folder={data}/cifar10-jpeg"]
    tasks: dict[str, Task] = {}
    with composing() as compose:
        for sweep in ("figure5",) if smoke else (*FIGURES, *LATER):
            extra = [] if smoke or sweep in FIGURES[:2] else images
            for job in compose(sweep, [*words, *extra]):
                if sweep == "faults_resnet50" and (job.params["init"], job.params["init.rest"]) == ("default",) * 2:
                    continue  # it is figure11's default
                job = made_for(job, device)
                known = tasks.setdefault(job.config_hash, Task("paper", [], job))
                known.sweeps.append(sweep)
        dataset = "digits" if smoke else "mnist"
        [dense] = compose("config", [*words[1:3], f"dataset={dataset}", "init=kaiming_normal"])
        others = list(tasks.values())
        speed = [dense, *(next(task.job for task in others if task.arch == arch) for arch in archs(others))]
        outcomes = [
            compose("config", [*words[1:3], *overrides])[0]
            for overrides in drawn(OUTCOMES_SMOKE if smoke else OUTCOMES, smoke)
        ]
    found = [*others, *(Task("speed", [], made_for(job, device)) for job in speed)]
    found += [Task("outcomes", [], made_for(job, device)) for job in outcomes]
    path.write_text(json.dumps([as_json(task) for task in found], separators=(",", ":")) + "\n")


def as_json(task: Task) -> dict[str, Any]:
    """Return what `read_tasks` reads: without Hydra's hooks and saved config, as no Hydra runs there."""
    entry = asdict(task)
    del entry["job"]["hooks"], entry["job"]["saved"]
    return entry


def archs(tasks: list[Task]) -> list[str]:
    return list(dict.fromkeys(task.arch for task in tasks))


def made_for(job: Job, device: str) -> Job:
    """Return the job on that device, which need not be there."""
    values, params = job.values | {"device": device}, job.params | {"device": device}
    config_hash, cell_hash = hashes(values)
    return replace(job, values=values, params=params, config_hash=config_hash, cell_hash=cell_hash, folder="")


def drawn(runs: int, smoke: bool) -> Iterator[list[str]]:
    """Give the overrides of varied runs, the same ones each time."""
    source = random.Random(0)
    for _ in range(runs):
        chosen: Mapping[str, Any] = {key: source.choice(values) for key, values in CHOICES.items()}
        if smoke:
            chosen = chosen | {"dataset": "digits", "arch": "fnn", "steps": 30}
        if chosen["arch"] == "logistic":
            chosen = {key: value for key, value in chosen.items() if key != "arch.activation"}
        if chosen["arch"].endswith("_cnn"):
            chosen = chosen | {"dataset": "digits"}  # seconds on a CPU
        if chosen["dataset"] == "mnist":
            chosen = chosen | {"dataset.max_examples": 2000}
        if chosen["arch"] == "fnn" and source.random() < 0.3:
            chosen = chosen | {"arithmetic": source.choice(["tied", "quotient"])}
        yield [f"{key}={value}" for key, value in chosen.items()]


@contextmanager
def composing() -> Iterator[Callable[[str, list[str]], list[Job]]]:
    """Give what composes the jobs of a config, or of a sweep file and its axes, with Hydra."""
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    from zeroinit.config.compose import job_of

    parser = OverridesParser.create()

    def job(name: str, words: list[str]) -> Job:
        cfg = compose(name, ["hydra.mode=RUN", *words], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        return job_of(cfg)

    def jobs(name: str, words: list[str]) -> list[Job]:
        cfg = compose(name, words, return_hydra_config=True)
        axes: Any = OmegaConf.to_container(cfg.hydra.sweeper, resolve=True)
        lists = []
        for axis in parser.parse_overrides([f"{key}={values}" for key, values in (axes["params"] or {}).items()]):
            values = axis.sweep_string_iterator() if axis.is_sweep_override() else [axis.value()]
            lists.append([f"{axis.get_key_element()}={value}" for value in values])
        return [job(name, [*words, *choices]) for choices in product(*lists)]

    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield jobs
