"""The config of a run as typed objects. Parsing a part checks it; conf/config.yaml describes each key.

`RunConfig.parse` raises BadInput for the first value that is missing or out of range.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch

from zeroinit.config.arguments import MAX_INT, is_finite
from zeroinit.config.claims import Claim, parse_claims
from zeroinit.config.dataset import DatasetConfig
from zeroinit.config.init import InitConfig
from zeroinit.config.limits import RunLimits
from zeroinit.config.optimizer import OptimizerGroup, parse_groups
from zeroinit.config.read import (
    Values,
    check_uri,
    read,
    read_bool,
    read_choice,
    read_int,
    read_name,
    require_nonnegative,
    resolve_device,
)
from zeroinit.config.schedule import parse_schedule
from zeroinit.config.target import Target
from zeroinit.errors import BadInput
from zeroinit.loss import Reduction
from zeroinit.probes.metrics import all_probes
from zeroinit.probes.probe import Schedule
from zeroinit.tracker.renamed import RENAMED_PROBES
from zeroinit.tracker.scores import SCORES
from zeroinit.training.clip import Clip

MAX_SEED = 2**64 - 1
MAX_STEPS = 10**8  # the losses of one run are then 0.8 GB
MAX_THREADS = 1024


@dataclass(frozen=True)
class Seeds:
    """The seed of each stream of random numbers."""

    init: int
    order: int
    augment: int
    forward: int
    split: int

    @classmethod
    def parse(cls, values: Values) -> Self:
        """Return the seeds of the keys `seeds`. Raises BadInput."""
        read_int(values, "seed", 0, most=MAX_SEED)
        return cls(*(read_int(values, f"seeds.{stream}", 0, most=MAX_SEED) for stream in cls.__dataclass_fields__))


@dataclass(frozen=True)
class Duration:
    """How long a run trains: one of the two is None."""

    epochs: int | None
    steps: int | None

    def count_steps(self, steps_per_epoch: int) -> int:
        """Return the number of steps."""
        return self.steps or (self.epochs or 0) * steps_per_epoch

    @classmethod
    def parse(cls, values: Values) -> Self:
        """Return the duration from `epochs` and `steps`. Raises BadInput if both or neither are given."""
        epochs, steps = read(values, "epochs"), read(values, "steps")
        if epochs is not None and steps is not None:
            raise BadInput(f"epochs={epochs} and steps={steps}: give one of them and set the other to null")
        if epochs is None and steps is None:
            raise BadInput("epochs=null and steps=null: give one of them, a whole number from 1")
        read_int(values, "epochs" if steps is None else "steps", 1, ", or null", MAX_STEPS)
        return cls(epochs, steps)


def parse_clip(values: Values) -> Clip | None:
    """Return the limits of the gradients, from the keys `clip`; None if there is no limit. Raises BadInput."""
    norm, value = (read(values, f"clip.{name}") for name in ("norm", "value"))
    for name, limit in (("norm", norm), ("value", value)):
        if limit is not None and (not is_finite(limit) or limit <= 0):
            raise BadInput(f"clip.{name}={limit}: give a finite number above 0, or null")
    if norm is not None and read(values, "arithmetic") == "quotient":
        raise BadInput(
            f"clip.norm={norm}: in arithmetic=quotient the norm would miss the copies of neurons; give arithmetic=tied"
        )
    return None if norm is None and value is None else Clip(norm, value)


def parse_metrics(values: Values) -> tuple[tuple[str, Target], ...]:
    """Return the names and functions of the keys `metrics`. Raises BadInput."""
    node = read(values, "metrics")
    if not isinstance(node, dict):
        raise BadInput(f"metrics={node}: give names, each with a function under _target_, or {{}}")
    for name in node:
        if name in (*(score.name for score in SCORES), "loss"):
            raise BadInput(f"metrics.{name}: each run has a metric of this name, or may have; give another name")
        if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
            raise BadInput(f"metrics.{name}: give a name of letters, digits and underscores, such as f1")
    return tuple((name, Target.read(values, f"metrics.{name}")) for name in node)


def parse_autocast(values: Values) -> torch.dtype | None:
    """Return the dtype of the key `autocast`. Raises BadInput."""
    value = read(values, "autocast")
    if value not in (None, "bf16"):
        raise BadInput(f"autocast={value}: give bf16 or null")
    if value and read(values, "dtype") != "float32":
        raise BadInput(f"autocast={value}: it lowers float32; give dtype=float32 in place of {read(values, 'dtype')}")
    if value and read(values, "arithmetic") == "quotient":
        raise BadInput(f"autocast={value}: arithmetic=quotient computes in one precision; give arithmetic=native")
    return torch.bfloat16 if value else None


@dataclass(frozen=True)
class ProbeConfig:
    """The keys of the group `probe`: names of probes, when they measure, and on how many examples."""

    measure: tuple[str, ...]
    schedule: Schedule
    examples: int

    @classmethod
    def parse(cls, values: Values) -> Self:
        """Return the values of the keys `probe`. Raises BadInput."""
        measure, curvature_steps = read(values, "probe.measure"), read(values, "probe.curvature")
        accepted = f"give a list of {', '.join(all_probes())}, or probe=default, all or none"
        if not isinstance(measure, list):
            raise BadInput(f"probe.measure={measure}: {accepted}")
        unknown = [probe for probe in measure if probe not in all_probes()]
        if unknown:
            typed = ",".join(map(str, measure))
            if new_name := RENAMED_PROBES.get(unknown[0]):
                raise BadInput(f"probe.measure=[{typed}]: the probe {unknown[0]} is now named {new_name}")
            raise BadInput(f"probe.measure=[{typed}]: there is no probe {unknown[0]}; {accepted}")
        first_steps = read_int(values, "probe.first_steps", 0)
        per_decade = read_int(values, "probe.per_decade", 0)
        if read(values, "mode") == "audit":
            read_int(values, "probe.first_steps", 1, ", the number of steps that mode=audit replays")
        if not isinstance(curvature_steps, list) or not all(
            type(step) is int and 0 <= step <= MAX_INT for step in curvature_steps
        ):
            raise BadInput(
                f"probe.curvature={curvature_steps}: give a list of whole numbers from 0 (numbers of updates)"
            )
        examples = read_int(values, "probe.examples", 1)
        if set(measure) - {"curvature"} and not first_steps and not per_decade:
            raise BadInput(
                "probe.first_steps=0 and probe.per_decade=0: no step would be observed; give one from 1, or probe=none"
            )
        if "curvature" in measure and not curvature_steps:
            raise BadInput("probe.curvature=[]: no step would be observed; give one from 0, or leave curvature out")
        return cls(tuple(measure), Schedule(first_steps, per_decade, tuple(curvature_steps)), examples)


@dataclass(frozen=True)
class Size:
    """The option of the group `size`, and the values of other keys that it stands for; a sweep's file refers to it."""

    name: str
    mnist: Any
    cifar10: Any
    limit: Any
    pixels: Any
    epochs: Any

    @classmethod
    def parse(cls, values: Values) -> Self | None:
        """Return the values of the keys `size`; None for a sweep without sizes."""
        node = values.get("size")
        if not isinstance(node, dict) or not node.get("name"):
            return None
        return cls(node["name"], *map(node.get, ("mnist", "cifar10", "limit", "pixels", "epochs")))


@dataclass(frozen=True)
class RunConfig:
    """The config of a run. Equal configs have equal keys, but for their claims.

    Runs with equal configs can still differ: in their environment variables, in the user's code, and in the data.
    """

    dataset: DatasetConfig
    arch: Target
    init: InitConfig
    bias_scale: Target
    optimizer: Target
    optimizer_groups: tuple[OptimizerGroup, ...]
    probe: ProbeConfig
    tracker: Target
    loss: Target
    reduction: Reduction
    seeds: Seeds
    duration: Duration
    schedule: Target
    clip: Clip | None
    metrics: tuple[tuple[str, Target], ...]
    early_stop: bool
    device: torch.device
    arithmetic: Literal["native", "tied", "quotient"]
    dtype: torch.dtype
    autocast: torch.dtype | None
    deterministic: bool
    threads: int
    mode: Literal["train", "lint", "audit", "plan"]
    save: bool
    rerun: bool
    resume: bool
    limits: RunLimits
    reference: str
    sweep: str | None
    size: Size | None
    claims: Sequence[Claim] = field(compare=False)

    @classmethod
    def parse(cls, values: Values) -> Self:
        """Return the config. Raise BadInput for the first value that is missing or out of range."""
        dataset, init = DatasetConfig.parse(values), InitConfig.parse(values)
        arch, bias_scale, tracker = (Target.read(values, key) for key in ("arch", "bias_scale", "tracker"))
        optimizer = Target.read(values, "optimizer", without=("groups",))
        for target, name in ((bias_scale, "value"), (optimizer, "lr")):
            if name in target.arguments:  # a function of the user may lack it
                require_nonnegative(f"{target.key}.{name}", target.arguments[name])
        check_uri(tracker.arguments.get("uri"))
        sweep = None if read(values, "sweep") is None else read_name(values, "sweep", ", or null")
        return cls(
            dataset=dataset,
            arch=arch,
            init=init,
            bias_scale=bias_scale,
            optimizer=optimizer,
            optimizer_groups=parse_groups(values),
            probe=ProbeConfig.parse(values),
            tracker=tracker,
            loss=Target.read(values, "loss", without=("reduction",)),
            reduction=read_choice(values, "loss.reduction", ("mean", "sum")),
            seeds=Seeds.parse(values),
            duration=Duration.parse(values),
            schedule=parse_schedule(values),
            clip=parse_clip(values),
            metrics=parse_metrics(values),
            early_stop=read_bool(values, "early_stop"),
            device=resolve_device(read(values, "device")),
            arithmetic=read_choice(values, "arithmetic", ("native", "tied", "quotient")),
            dtype=getattr(torch, read_choice(values, "dtype", ("float32", "float64"))),
            autocast=parse_autocast(values),
            deterministic=read_bool(values, "deterministic"),
            threads=read_int(values, "threads", 1, most=MAX_THREADS),
            mode=read_choice(values, "mode", ("train", "lint", "audit", "plan")),
            save=read_bool(values, "save"),
            rerun=read_bool(values, "rerun"),
            resume=read_bool(values, "resume"),
            limits=RunLimits.parse(values),
            reference=read_name(values, "reference"),
            sweep=sweep,
            size=Size.parse(values),
            claims=parse_claims(read(values, "claims")),
        )
