"""The one entrypoint: composes a config, trains what it says, evaluates, and keeps the run.

    zeroinit init=zero_normal          python -m zeroinit.train -m init=zero,zero_normal seed='range(3)'
"""

import inspect
import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any, NoReturn

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from zeroinit import CONF, config, loop
from zeroinit.config import Values
from zeroinit.dataset import Data
from zeroinit.errors import BadInput
from zeroinit.init import Filled, initialize
from zeroinit.observer import Observer
from zeroinit.progress import Bar
from zeroinit.provenance import device_name, provenance
from zeroinit.report.cells import as_csv
from zeroinit.rng import stream, stream_seed
from zeroinit.tracker import Record, Tracker
from zeroinit.verdict import verdict


@dataclass(frozen=True)
class Job:
    """One run to be made: its resolved config, its params, and the hashes of config and cell."""

    values: Values
    params: dict[str, str]
    config_hash: str
    cell_hash: str


def job_of(cfg: DictConfig) -> Job:
    """The job that a composed config (with Hydra's node, or HydraConfig set) describes. Raises BadInput."""
    hydra_config = HydraConfig.get()
    values = config.resolve(cfg)
    options = config.options(hydra_config.runtime.choices, list(hydra_config.overrides.task))
    return Job(values, config.params(values, options), *config.hashes(values))


def run(job: Job, tracker: Tracker, tell: Callable[[float, float], None]) -> Record:
    """Data, model, init, optimizer, loop, tracker: one run, from its config to its record.

    `tell` hears the share of the steps done and the validation accuracy there. A run that diverges is FAILED; one
    that raises or is interrupted is written as FAILED or KILLED before the exception goes on.
    """
    values, seeds = job.values, job.values["seeds"]
    device = set_up_torch(values)
    data = load(values, device)
    batch_size = batch_size_of(values, data)
    steps_per_epoch = math.ceil(len(data.train[0]) / batch_size)
    steps = values["steps"] or values["epochs"] * steps_per_epoch

    record = Record(
        name=f"{job.params['arch']} {job.params['init']} x{job.params['bias_scale.value']} seed {seeds['init']}",
        params=job.params,
        tags=provenance()
        | {"config_hash": job.config_hash, "cell_hash": job.cell_hash}
        | {"steps_per_epoch": str(steps_per_epoch), "device": device_name(device)},
    )
    observer = Observer(record, tracker, steps, tell)
    tracker.begin(record)
    try:
        model, filled, optimizer = build(values, data)
        record.files["init.csv"] = as_csv([asdict(line) for line in filled])
        member = loop.Member(model, optimizer, stream("order", seeds["order"]), steps)
        torch.manual_seed(stream_seed("forward", seeds["forward"]))  # dropout takes no generator of its own
        started = time.perf_counter()
        shuffle = values["dataset"]["shuffle"]
        [trained] = loop.train([member], data, batch_size=batch_size, shuffle=shuffle, observe=observer)
        seconds = time.perf_counter() - started

        diverged = trained.diverged_at is not None
        taken = steps if trained.diverged_at is None else trained.diverged_at
        record.status = "FAILED" if diverged else "FINISHED"
        record.tags["verdict"] = verdict(trained, data.val[1])
        if diverged:
            record.tags["error"] = f"diverged: the loss is not finite at step {trained.diverged_at}"
            record.tags["diverged_at"] = str(trained.diverged_at)
        record.tags["seconds"] = f"{seconds:.3f}"
        record.tags["samples_per_second"] = f"{taken * len(data.train[0]) / steps_per_epoch / seconds:.0f}"
        record.tags["tracking_seconds"] = f"{observer.seconds:.3f}"
        if tracker.keeps:
            record.files["histograms.npz"] = observer.histograms()
            if values["save"]:
                record.files["weights.pt"] = weights(model)
    except BaseException as error:
        record.status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        record.tags["error"] = f"{type(error).__name__}: {error}"[:5000]
        raise
    finally:
        tracker.end(record)
    return record


def set_up_torch(values: Values) -> torch.device:
    torch.set_num_threads(values["threads"])
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.use_deterministic_algorithms(values["deterministic"])
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, and no kernel of ours reads such memory
    return config.device(values["device"])


def load(values: Values, device: torch.device) -> Data:
    """The data of a config, on the device; those of the last two data sets asked for are kept."""
    node = {key: value for key, value in values["dataset"].items() if key not in ("batch_size", "shuffle")}
    return load_cached(json.dumps(node, sort_keys=True), values["seeds"]["split"], device)


@lru_cache(maxsize=2)
def load_cached(node: str, split_seed: int, device: torch.device) -> Data:
    data: Data = call(function("dataset", json.loads(node)), stream("split", split_seed))
    return data.to(device)


def batch_size_of(values: Values, data: Data) -> int:
    size, examples = values["dataset"]["batch_size"], len(data.train[0])
    if size == "all":
        return examples
    if size > examples:
        raise BadInput(
            f"dataset.batch_size={size}: the training set has {examples} examples; give 1 to {examples}, or all"
        )
    return int(size)


def build(values: Values, data: Data) -> tuple[nn.Module, list[Filled], torch.optim.Optimizer]:
    """The model on the data's device, initialised, what each parameter was filled with, and the optimiser bound to it."""
    model: nn.Module = call(function("arch", values["arch"]), data.input_shape, data.num_classes)
    rules = function("init", values["init"])
    scale = function("bias_scale", values["bias_scale"])
    generator = stream("init", values["seeds"]["init"])
    filled = initialize(model, generator, bias_scale=lambda fan_in: float(call(scale, fan_in)), **rules)
    model.to(data.train[0].device)
    try:
        # after the init, and of the very model that trains
        optimizer: torch.optim.Optimizer = call(function("optimizer", values["optimizer"]), model.parameters())
    except ValueError as error:  # torch's own words for an argument out of range
        raise BadInput(f"optimizer: {error}") from error
    return model, filled, optimizer


def function(group: str, node: Values) -> Any:
    """What the group's `_target_` names, with its arguments bound."""
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise BadInput(f"{group}._target_={node.get('_target_')}: {reason}") from error


def call(bound: partial[Any], *arguments: Any) -> Any:
    """Call a group's function. Raises BadInput where its signature does not take the config's keys."""
    try:
        inspect.signature(bound.func).bind(*arguments, **bound.keywords)
    except TypeError as error:
        name = f"{bound.func.__module__}.{bound.func.__qualname__}"
        given = ", ".join(bound.keywords) or "none"
        raise BadInput(f"{name} does not take what it is given: {error} (keys of its group: {given})") from error
    return bound(*arguments)


def weights(model: nn.Module) -> bytes:
    content = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in model.state_dict().items()}, content)
    return content.getvalue()


def check(jobs: Sequence[Job]) -> None:
    """Build what the jobs will train, once for each that differs, and raise BadInput at the first that does not fit."""
    built = set()
    for job in jobs:
        values = job.values
        device = set_up_torch(values)
        data = load(values, device)
        batch_size_of(values, data)
        parts = json.dumps([values[group] for group in ("dataset", "arch", "init", "optimizer")], sort_keys=True)
        if parts not in built:
            built.add(parts)
            model, _, _ = build(values, data)
            fit(model.eval(), data, job.params)


@torch.no_grad()
def fit(model: nn.Module, data: Data, params: dict[str, str]) -> None:
    some = data.train[0][:2]
    where = f"arch={params['arch']} does not fit dataset={params['dataset']}"
    try:
        logits = model(some)
    except (RuntimeError, ValueError, IndexError) as error:
        raise BadInput(f"{where}, whose inputs have shape {data.input_shape}: {str(error).splitlines()[0]}") from error
    if logits.shape != (len(some), data.num_classes):
        raise BadInput(
            f"{where}: for {len(some)} examples it gives {tuple(logits.shape)}, not logits {(len(some), data.num_classes)}"
        )


def open_tracker(job: Job, sweep: str) -> Tracker:
    """The tracker that the job names, with the experiment of the sweep; the same one for all jobs of a process."""
    return opened(json.dumps(job.values["tracker"]), job.values["sweep"] or sweep)


@lru_cache
def opened(node: str, sweep: str) -> Tracker:
    tracker: Tracker = function("tracker", json.loads(node))
    tracker.open(sweep)
    return tracker


def sweep_name() -> str:
    """A sweep file's name; `sweep` for a grid from the command line; `zeroinit` for single runs."""
    hydra_config = HydraConfig.get()
    if hydra_config.mode != RunMode.MULTIRUN:
        return "zeroinit"
    return "sweep" if hydra_config.job.config_name == "config" else str(hydra_config.job.config_name)


def run_config(cfg: DictConfig, tell: Callable[[float, float], None]) -> Record:
    """Check and run what a composed config says. Raises BadInput."""
    job = job_of(cfg)
    check([job])
    return run(job, open_tracker(job, sweep_name()), tell)


def best(record: Record) -> float:
    """The best validation accuracy of a run, which Hydra's optimising sweepers are given."""
    return max((value for name, value, _ in record.metrics if name == "val/accuracy"), default=math.nan)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def task(cfg: DictConfig) -> float:
    """Hydra's task function: one job, on its own or under any launcher."""
    alone = HydraConfig.get().mode != RunMode.MULTIRUN
    try:
        with Bar(1) as bar:
            record = run_config(cfg, bar.at)
    except BadInput as error:
        stop(error)
    if alone:
        conclude_run(record, job_of(cfg))
    return best(record)


def conclude_run(record: Record, job: Job) -> None:
    accuracy, loss = record.last("test/accuracy"), record.last("test/loss")
    became = f"test accuracy {accuracy:.1%}, loss {loss:.3g}, {record.tags['verdict']}"
    print(f"{record.name}: {record.tags.get('error', became)}")
    print(open_tracker(job, sweep_name()).how_to_see())
    if record.status != "FINISHED":
        sys.exit(1)


def stop(error: BadInput) -> NoReturn:
    """Tell the one sentence, and end with the exit code for what the user can mend."""
    sys.stderr.write(f"zeroinit: {error}\n")
    sys.exit(2)


def reject_numbers(overrides: Sequence[Override]) -> None:
    """Raise BadInput for a number where a group wants an option: bias_scale=0.1 means bias_scale.value=0.1."""
    meant = {"bias_scale": "bias_scale.value", "optimizer": "optimizer.lr"}
    for override in overrides:
        group = override.key_or_group
        if group in meant and not override.is_delete():
            values = list(override.sweep_iterator()) if override.is_discrete_sweep() else [override.value()]
            number = next((value for value in values if isinstance(value, int | float)), None)
            if number is not None:
                accepted = ", ".join(sorted(path.stem for path in (CONF / group).glob("*.yaml")))
                raise BadInput(f"{group}={number}: say {meant[group]}={number}; {group} itself is one of {accepted}")


def main() -> None:
    """The command `zeroinit`."""
    sys.path.append(os.getcwd())  # so that arch._target_=mine.Net finds mine.py
    typed = [word for word in sys.argv[1:] if "=" in word and not word.startswith("-")]
    try:
        reject_numbers(OverridesParser.create().parse_overrides(typed))
    except BadInput as error:
        stop(error)
    except HydraException:
        pass  # Hydra parses them again, and tells it in its own words
    try:
        task()
    except KeyboardInterrupt:
        sys.stderr.write("zeroinit: interrupted; the run is kept as KILLED\n")
        sys.exit(130)


if __name__ == "__main__":
    # the module that the plugins import, not a second copy of it
    from zeroinit.train import main as command

    command()
