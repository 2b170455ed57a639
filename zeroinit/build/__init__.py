"""From a resolved config to what trains: data, model, optimiser, tracker; and the check that all of it fits."""

import ctypes
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from typing import Any

import torch
from torch import nn

from zeroinit.build.forward import check_forward
from zeroinit.build.limits import check_examples, check_memory, check_steps
from zeroinit.build.storable import check_storable, make_tracker
from zeroinit.call_order import record_call_order
from zeroinit.config import Job
from zeroinit.config.check import Values, ramped
from zeroinit.config.check import device as device_of
from zeroinit.config.code_hash import hash_code
from zeroinit.config.identity import hash_of, identity
from zeroinit.config.target import bound, call, parameters_of
from zeroinit.dataset.batches import Augment
from zeroinit.dataset.check import check_data
from zeroinit.dataset.data import Data, limited, normalized
from zeroinit.dataset.images import reshaped
from zeroinit.environment import active_variables, environment
from zeroinit.errors import BadInput
from zeroinit.init import Filled, Rule, initialize
from zeroinit.kernels import warn_of_native_kernels
from zeroinit.layers import weight_layers
from zeroinit.rng import stream
from zeroinit.tracker import Tracker
from zeroinit.training.cohort import Recipe
from zeroinit.training.quotient import quotient
from zeroinit.training.stackable import OPTIMIZERS, unstackable_reason
from zeroinit.training.ties import preserves_column_offsets
from zeroinit.training.warmup import set_warmup
from zeroinit.user_code import explain_errors


def set_up_torch(values: Values) -> torch.device:
    """Threads, determinism and memory as the config has them; the device."""
    keep_freed_memory()
    warn_of_native_kernels(torch.backends.cpu.get_cpu_capability())
    torch.set_num_threads(values["threads"])
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.use_deterministic_algorithms(values["deterministic"])
    # float32 is IEEE's on CUDA as well: TF32 has 10 bits for 23 of a number's, and rounding is what some inits live by
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    # costs time, and no kernel of ours reads such memory
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return device_of(values["device"])


@cache
def keep_freed_memory() -> None:
    """Have glibc hand tensors' memory from step to step; else it may go back to the system and come anew each time.

    That is thousands of page faults a step, and a third of the time of a stack.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for option, size in ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 1 << 30)):
            mallopt(option, size)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as glibc's malloc.h has them
OF_BATCHES = ("batch_size", "shuffle", "normalize", "augment")  # keys of a data set that change nothing of its store


def load(values: Values, device: torch.device) -> Data:
    """The data of a config, on the device; what is stored of the last four asked for is kept."""
    data = load_cached(*stored(values), device)
    check_augment(values["dataset"]["augment"], data.input_shape)
    if data.train[0].dtype == torch.float64 and values["dtype"] == "float32":
        raise BadInput("dtype=float32: the inputs of the data are torch.float64; give inputs.float(), or dtype=float64")
    wide = torch.float64 if values["dtype"] == "float64" else None  # in float32 nets and data stay as they are made
    return replace(normalized(data, **values["dataset"]["normalize"]), dtype=wide)


Stored = tuple[str, int, tuple[tuple[str, str], ...]]


def stored(values: Values) -> Stored:
    """What decides of a data set's store: its node, the seed of the split, and the variables that the job has set."""
    node = {key: value for key, value in values["dataset"].items() if key not in OF_BATCHES}
    return json.dumps(node, sort_keys=True), values["seeds"]["split"], active_variables()


def check_augment(keys: Values, input_shape: tuple[int, ...]) -> None:
    """Raise BadInput where these inputs cannot be cropped or flipped so."""
    if Augment(**keys) and len(input_shape) != 3:
        raise BadInput(
            f"dataset.augment={keys}: the data have shape {input_shape} and are no images; give crop 0 and flip false"
        )
    if keys["crop"] and keys["crop"] >= min(input_shape[1:]):
        raise BadInput(
            f"dataset.augment.crop={keys['crop']}: the images have {input_shape[1]}x{input_shape[2]} pixels; give "
            f"0 to {min(input_shape[1:]) - 1}"
        )


@lru_cache(maxsize=4)
def load_cached(node: str, split_seed: int, variables: tuple[tuple[str, str], ...], device: torch.device) -> Data:
    keys = json.loads(node)
    shape, limit = {key: keys.pop(key) for key in ("resize", "channels")}, keys.pop("limit")
    asked = parameters_of(bound("dataset", keys).func)  # a loader may do it itself, as it decodes
    data = call("dataset", keys | {key: shape[key] for key in shape if key in asked}, stream("split", split_seed))
    data = check_data(data, f"dataset._target_={keys['_target_']}")
    return reshaped(data if limit is None else limited(data, limit), **shape).to(device)


def identity_of(job: Job) -> str:
    """The identity of the job's run; loads its data."""
    with environment(job.variables):
        data = data_hash(stored(job.values), device_of(job.values["device"]))
        return identity(job.config_hash, data, hash_code(job.values))


@cache
def data_hash(store: Stored, device: torch.device) -> str:
    return hash_of(load_cached(*store, device))


def batch_size_of(values: Values, data: Data) -> int:
    size, examples = values["dataset"]["batch_size"], len(data.train[0])
    if size == "all":
        return examples
    if size > examples:
        raise BadInput(
            f"dataset.batch_size={size}: the training set has {examples} examples; give 1 to {examples}, or all"
        )
    return int(size)


def recipe_of(values: Values, data: Data) -> Recipe:
    """Return how the members of a job's training are trained."""
    return Recipe(
        batch_size=batch_size_of(values, data),
        shuffle=values["dataset"]["shuffle"],
        augment=Augment(**values["dataset"]["augment"]),
        reduction=values["loss"]["reduction"],
        tied=values["arithmetic"] == "tied",
    )


def steps_per_epoch_of(values: Values, data: Data) -> int:
    """An epoch's last batch may be smaller than the others."""
    return math.ceil(len(data.train[0]) / batch_size_of(values, data))


def as_it_is(rule: Rule) -> Rule:
    """What nobody watches."""
    return rule


def build(
    values: Values, data: Data, watched: Callable[[Rule], Rule] = as_it_is
) -> tuple[nn.Module, list[Filled], torch.optim.Optimizer]:
    """The initialised model, or its quotient, on the data's device, what filled each parameter, and its optimiser.

    All is drawn in float32, and has the data's dtype then.

    `watched` makes of each rule of the init one that somebody watches.
    """
    model = make_model(values, data)
    layers = values["init"]["layers"]
    weight, bias = map(watched, rules("init", values["init"]))
    rest = rules("init.rest", values["init"]["rest"]) if layers else None
    filled = initialize(
        model,
        stream("init", values["seeds"]["init"]),
        weight,
        bias,
        bias_scale=bound("bias_scale", values["bias_scale"]),
        layers=[layers] if isinstance(layers, str) else layers,
        rest=rest and (watched(rest[0]), watched(rest[1])),
    )
    model.to(data.train[0].device, data.dtype)
    if values["arithmetic"] == "quotient":
        model = quotient(model, preserves_column_offsets(optimizer_of(values, model)))
    return model, filled, optimizer_of(values, model)  # after the init, and of the very model that trains


def make_model(values: Values, data: Data) -> nn.Module:
    """The model as its constructor leaves it, on the CPU. Raises BadInput where the arch does not fit the data."""
    name, shape, classes = f"arch._target_={values['arch']['_target_']}", data.input_shape, data.num_classes
    subject = f"{name} does not fit data of shape {shape} with {classes} classes"
    model = call("arch", values["arch"], shape, classes, subject=subject)
    if not isinstance(model, nn.Module):
        raise BadInput(f"{name}: it returned a {type(model).__name__}; return a torch.nn.Module")
    inputs = replace(data, dtype=None).prepare(data.train[0][:2])
    # of an arch of ours, the shapes decide; a user's may draw its structure
    key = json.dumps([values["arch"], shape, classes]) if values["arch"]["_target_"].startswith("zeroinit.") else ""
    with explain_errors(f"{name} cannot be evaluated on data of shape {shape}"):
        record_call_order(model, inputs.to(next(model.parameters(), inputs).device), key)
    return model


def make_on_device(values: Values, data: Data) -> nn.Module:
    """The model with its constructor's values, where and in which dtype it would train."""
    return make_model(values, data).to(data.train[0].device, data.dtype)


def optimizer_of(values: Values, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of the model's parameters. Raises BadInput where torch has none, or it has no rate to ramp."""
    found = call("optimizer", values["optimizer"], model.parameters(), subject="optimizer")
    if not isinstance(found, torch.optim.Optimizer):
        target, made = values["optimizer"]["_target_"], type(found).__name__
        raise BadInput(f"optimizer._target_={target}: it returned a {made}; return a torch.optim.Optimizer")
    if ramped(values):
        if any("lr" not in group for group in found.param_groups):
            steps, made = values["ramp"]["steps"], type(found).__name__
            raise BadInput(f"ramp.steps={steps}: {made} has no learning rate lr to begin at another; give ramp.steps=0")
        set_warmup(found, **values["ramp"])
    return found


def rules(key: str, node: Values) -> tuple[partial[Any], partial[Any]]:
    """The (weight, bias) rules of a node."""
    return bound(f"{key}.weight", node["weight"]), bound(f"{key}.bias", node["bias"])


def open_tracker(job: Job, sweep: str) -> Tracker:
    """The tracker that the job names, with the experiment of the sweep; the same one for all jobs of a process."""
    tracker = opened(json.dumps(job.values["tracker"]), job.values["sweep"] or sweep)
    if job.values["save"] and not tracker.is_persistent:
        raise BadInput(f"save=true: tracker={job.params['tracker']} keeps no files; set one of them otherwise")
    return tracker


@lru_cache
def opened(node: str, sweep: str) -> Tracker:
    tracker = make_tracker(json.loads(node))
    tracker.open(sweep)
    return tracker


def check(jobs: Sequence[Job]) -> list[str]:
    """Build what the jobs will train, once for each that differs.

    Returns:
        What a person should know of the data before the training, a line each.

    Raises:
        BadInput: The first job that does not fit.
    """
    notes: dict[str, None] = {}
    for job in sorted(jobs, key=lambda job: job.params["dataset"]):  # so that each data set is loaded once
        with environment(job.variables):
            notes |= dict.fromkeys(check_job(job))
    return list(notes)


def check_job(job: Job) -> list[str]:
    """Build what a job will train, unless one like it was built; the notes on its data."""
    values = job.values
    data = load(values, set_up_torch(values))
    size = batch_size_of(values, data)
    check_steps(values, steps_per_epoch_of(values, data))
    check_examples(values, data)
    parts = parts_of(job)
    if parts not in fitting:
        check_memory(values, data, job.params["arch"])
        model, _, optimizer = build(values, data)
        named = f"arch={job.params['arch']} does not fit dataset={job.params['dataset']}"
        target = f"arch._target_={values['arch']['_target_']}"
        check_forward(model, partial(make_on_device, values, data), data, size, named, target)
        check_arithmetic(values["arithmetic"], model, optimizer, data.input_shape)
        fitting[parts] = tuple(name for name, _ in weight_layers(model))
    if values["check"] == "start":  # else nothing is kept
        check_storable(job, fitting[parts])
    return data.notes_for(job.overrides)


# the layers of what this process has checked, so that a sweep's jobs are not checked again one by one
fitting: dict[str, tuple[str, ...]] = {}


def parts_of(job: Job) -> str:
    """What decides whether a job's model, data and optimizer fit together."""
    groups = [job.values[group] for group in ("dataset", "arch", "init", "optimizer", "arithmetic", "dtype")]
    return json.dumps([*groups, job.values["bias_scale"]["_target_"], job.variables], sort_keys=True)


def layers_of(job: Job) -> tuple[str, ...]:
    """The names of the layers of a job that was checked."""
    return fitting[parts_of(job)]


def check_arithmetic(
    arithmetic: str, model: nn.Module, optimizer: torch.optim.Optimizer, input_shape: tuple[int, ...]
) -> None:
    """Raise BadInput where equal neurons cannot be kept so; a model without a quotient has been refused by then."""
    reason = unstackable_reason(model, optimizer, input_shape) if arithmetic == "tied" else None
    if reason:
        raise BadInput(f"arithmetic=tied is for nets that can be stacked, but {reason}; give arithmetic=native")
    if arithmetic == "quotient" and type(optimizer) not in OPTIMIZERS:
        accepted = ", ".join(one.__name__ for one in OPTIMIZERS)
        raise BadInput(
            f"arithmetic=quotient is for {accepted}, which update each entry alone; optimizer._target_ makes "
            f"{type(optimizer).__name__}: give arithmetic=native"
        )
