"""The one entrypoint, `zeroinit`: composes a config, trains what it says, evaluates, and keeps the run."""

import io
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from torch import nn

from zeroinit import CONF, config, loop
from zeroinit.batches import Augment
from zeroinit.build import batch_size_of, build, check, load, open_tracker, set_up_torch
from zeroinit.config import Job
from zeroinit.config.check import check_uri
from zeroinit.errors import BadInput
from zeroinit.observer import Observer
from zeroinit.progress import Bar
from zeroinit.provenance import device_name, provenance
from zeroinit.report.cells import as_csv
from zeroinit.rng import stream, stream_seed
from zeroinit.signals import signals_held
from zeroinit.tracker import Record, Tracker, without_password
from zeroinit.verdict import verdict


def job_of(cfg: DictConfig) -> Job:
    """The job that a composed config (with Hydra's node, or HydraConfig set) describes. Raises BadInput."""
    hydra_config = HydraConfig.get()
    values = config.resolve(cfg)
    params = config.params(values, config.options(hydra_config.runtime.choices, values))
    name = config.name(params, list(hydra_config.overrides.task))
    return Job(name, values, params, *config.hashes(values))


def run(job: Job, tracker: Tracker, tell: Callable[[float, float | None], None]) -> Record:
    """Data, model, init, optimizer, loop, tracker: one run, from its config to its record.

    `tell` hears the share of the steps done, and the validation accuracy where it is taken. A run that diverges is
    FAILED; one that raises or is interrupted is written as FAILED or KILLED before the exception goes on.
    """
    values, seeds = job.values, job.values["seeds"]
    device = set_up_torch(values)
    data = load(values, device)
    batch_size = batch_size_of(values, data)
    steps_per_epoch = math.ceil(len(data.train[0]) / batch_size)
    steps = values["steps"] or values["epochs"] * steps_per_epoch

    record = Record(
        name=job.name,
        params=job.params,
        tags=provenance()
        | {"config_hash": job.config_hash, "cell_hash": job.cell_hash}
        | {"steps_per_epoch": str(steps_per_epoch), "device": device_name(device)},
    )
    observer = Observer(record, tracker, steps, tell)
    try:
        with signals_held():
            tracker.begin(record)
        torch.manual_seed(stream_seed("forward", seeds["forward"]))  # dropout takes no generator of its own
        model, filled, optimizer = build(values, data)
        record.files["init.csv"] = as_csv([asdict(line) for line in filled])
        order, changes = stream("order", seeds["order"]), stream("augment", seeds["augment"])
        started = time.perf_counter()
        [trained] = loop.train(
            [loop.Member(model, optimizer, order, changes, steps)],
            data,
            batch_size=batch_size,
            shuffle=values["dataset"]["shuffle"],
            augment=Augment(**values["dataset"]["augment"]),
            reduction=values["loss"]["reduction"],
            observe=observer,
        )
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
        if tracker.keeps:
            record.files["histograms.npz"] = observer.histograms()
            if values["save"]:
                record.files["weights.pt"] = weights(model)
    except BaseException as error:
        record.status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        record.tags["error"] = without_password(f"{type(error).__name__}: {error}")[:5000]
        raise
    finally:
        with signals_held():
            tracker.end(record)
    return record


def weights(model: nn.Module) -> bytes:
    content = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in model.state_dict().items()}, content)
    return content.getvalue()


def sweep_name() -> str:
    """A sweep file's name; `sweep` for a grid from the command line; `zeroinit` for single runs."""
    hydra_config = HydraConfig.get()
    if hydra_config.mode != RunMode.MULTIRUN:
        return "zeroinit"
    return "sweep" if hydra_config.job.config_name == "config" else str(hydra_config.job.config_name)


def run_config(cfg: DictConfig, bar: Bar) -> Record:
    """Check and run what a composed config says; in a sweep, tell at once, in one line, if it fails."""
    hydra_config = HydraConfig.get()
    overrides = " ".join(hydra_config.overrides.task)
    sweeping = hydra_config.mode == RunMode.MULTIRUN
    try:
        job = job_of(cfg)
        check([job])
        record = run(job, open_tracker(job, sweep_name()), bar.at)
    except Exception as error:
        if sweeping:
            path = Path(hydra_config.runtime.output_dir) / "traceback.txt"
            path.write_text(without_password("".join(traceback.format_exception(error))))
            first = without_password(" ".join(str(error).split())[:300])
            bar.tell(f"failed: {overrides}: {type(error).__name__}: {first} (traceback in {path})")
        raise
    if sweeping and record.status != "FINISHED":
        bar.tell(f"failed: {overrides}: {record.tags['error']}")
    return record


def best(record: Record) -> float:
    """The best validation accuracy of a run, which optimising sweepers are given; 0 where it diverged before any."""
    return max((value for name, value, _ in record.metrics if name == "val/accuracy"), default=0.0)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def task(cfg: DictConfig) -> float:
    """Hydra's task function: one job, on its own or under any launcher."""
    try:
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            check([job_of(cfg)])  # before the bar, as decoding images has one of its own
        with Bar(1) as bar:
            record = run_config(cfg, bar)
    except BadInput as error:
        stop(error)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        if record.status == "FINISHED":  # if not, it has been told
            bar.tell(became(record))
        return best(record)
    print(became(record))
    where = open_tracker(job_of(cfg), sweep_name()).how_to_see()
    if where:
        print(where)
    if record.status != "FINISHED":
        sys.exit(1)
    return best(record)


def became(record: Record) -> str:
    """A line on a run that has ended."""
    accuracy, loss = record.last("test/accuracy"), record.last("test/loss")
    fine = f"test accuracy {accuracy:.1%}, loss {loss:.3g}, {record.tags['verdict']}"
    return f"{record.name}: {record.tags.get('error', fine)}"


def stop(error: BadInput) -> NoReturn:
    """Tell the one sentence, and end with the exit code for what the user can mend."""
    sys.stderr.write(f"zeroinit: {' '.join(str(error).split())}\n")
    sys.exit(2)


def check_typed(overrides: Sequence[Override]) -> None:
    """Raise BadInput for what Hydra would answer with a page of its own, or write to a file.

    That is a number or nothing where a group wants an option (bias_scale=0.1 means bias_scale.value=0.1), an axis
    without values or with one twice, and a password.
    """
    meant = {"bias_scale": "bias_scale.value", "optimizer": "optimizer.lr"}
    for override in overrides:
        key, line = override.key_or_group, without_password(str(override.input_line))
        if override.is_delete():
            continue
        if override.is_sweep_override() and not override.is_discrete_sweep():
            continue  # an interval, which only an optimising sweeper takes
        values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
        is_group = (CONF / key).is_dir()
        if not values or (is_group and values == [""]):
            raise BadInput(f"{line}: the axis has no values; give at least one")
        twice = next((value for index, value in enumerate(values) if value in values[:index]), None)
        if twice is not None:
            raise BadInput(f"{line}: the axis has the value {twice} twice; give each value once")
        number = next((value for value in values if isinstance(value, int | float) and value is not True), None)
        if key in meant and number is not None:
            accepted = ", ".join(sorted(path.stem for path in (CONF / key).glob("*.yaml")))
            raise BadInput(f"{key}={number}: say {meant[key]}={number}; {key} itself is one of {accepted}")
        if key == "tracker.uri":
            for value in values:
                check_uri(value)


def main() -> None:
    """Hand the command line to Hydra, after a look for what Hydra would answer badly."""
    sys.path.append(os.getcwd())  # so that arch._target_=mine.Net finds mine.py
    typed = [word for word in sys.argv[1:] if "=" in word and not word.startswith("-")]
    try:
        check_typed(OverridesParser.create().parse_overrides(typed))
    except BadInput as error:
        stop(error)
    except HydraException:
        pass  # Hydra parses them again, and tells it in its own words
    task()


if __name__ == "__main__":
    from zeroinit.__main__ import main as command  # which runs the module that the plugins import, not this copy of it

    command()
