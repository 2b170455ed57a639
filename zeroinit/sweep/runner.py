"""Jobs that train together: data, models, inits, optimizers, loop, tracker, from their configs to their records."""

import io
import json
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from zeroinit.build import build, identity_of, load, open_tracker, recipe_of, set_up_torch, steps_per_epoch_of
from zeroinit.config import Job
from zeroinit.dataset.data import spread
from zeroinit.diagnostics import lint
from zeroinit.diagnostics.moments import with_moments
from zeroinit.environment import environment
from zeroinit.init import state_hash
from zeroinit.layers import hidden
from zeroinit.probes.measures import observed
from zeroinit.probes.observer import LEFT_OUT, Observer, left_out
from zeroinit.probes.outcome import EXAMPLES, JUDGED, Looked, Seen, examples_of, hopeless, learnable, look, verdict
from zeroinit.probes.wavefront import is_chain, predicted
from zeroinit.process import current_process
from zeroinit.report.cells import as_csv
from zeroinit.rng import stream, stream_seed
from zeroinit.signals import signals_held
from zeroinit.sweep.failures import as_text, end, fail
from zeroinit.sweep.hooks import train_in_folders
from zeroinit.tracker import INIT_HASH, LAST_STEP, MAX_TAG, TEST_CLASS_COUNTS, TRACEBACK, VAL_ACCURACY, Record, Tracker
from zeroinit.tracker.provenance import command_tag, device_name, provenance
from zeroinit.training import loop
from zeroinit.training.cohort import Member
from zeroinit.training.events import Event, Finished, TrainingResult
from zeroinit.training.quotient import quotient_summary

LINT = "lint"  # the tag of what was found before the training
BETWEEN = 0.2  # seconds between two words of how far a training is


def run(
    jobs: Sequence[Job],
    tracker: Tracker,
    tell: Callable[[float, float | None], None],
    why: str = "a single run",
    stacked: bool = False,
) -> list[Record]:
    """Data, models, inits, optimizers, loop, tracker: jobs that train together, from their configs to their records.

    `tell` hears the share of the steps done, and a validation accuracy where it is taken. A run that diverges is
    FAILED, and so is one that raises, or calls sys.exit, with its traceback among the files; one that is interrupted is
    written as KILLED before KeyboardInterrupt goes on. `why` they train together, or alone, is kept as a tag. A
    `stacked` job is the last of a stack whose others have ended: it has the bits that it would have had among them.
    """
    plan = {"stack": str(len(jobs)), "plan": why}
    records = [record_of(job, plan) for job in jobs]
    try:
        for record in records:
            with signals_held():
                tracker.begin(record)
        train_together(jobs, records, tracker, tell, stacked or len(jobs) > 1)
    except BaseException as error:
        for record in records:
            if record.status == "RUNNING":
                fail(record, error)
        if isinstance(error, KeyboardInterrupt):
            raise
    finally:
        with signals_held():
            for record in records:
                if not record.ended:
                    end(record, tracker)
    return records


def record_of(job: Job, tags: dict[str, str]) -> Record:
    own = {
        "identity": identity_of(job),
        "config_hash": job.config_hash,
        "cell_hash": job.cell_hash,
        "arithmetic": job.values["arithmetic"],
    }
    if size := size_of(job):
        own["size"] = size
    return Record(job.name, job.params, provenance() | command_tag() | current_process().tags() | own | tags)


def size_of(job: Job) -> str:
    """The option of `size`, and what was typed in the place of what it sets; images of one's own may be any.

    Empty of a job without one, or of one that has no name.
    """
    if not job.values.get("size", {}).get("name"):
        return ""
    size, data, dataset = job.values["size"], job.values["dataset"], job.params["dataset"]
    changed = {
        "dataset": None if dataset in (size.get("mnist"), size.get("cifar10"), "image_folder") else dataset,
        "limit": None if data["limit"] == size.get("limit") else data["limit"],
        "resize": None if data["resize"] == size.get("pixels") else data["resize"],
        "epochs": None if job.values["epochs"] == size.get("epochs") else job.values["epochs"],
        "steps": job.values["steps"] if any(one.startswith("steps=") for one in job.overrides) else None,
    }
    return ", ".join([size["name"], *(f"{key}={value}" for key, value in changed.items() if value is not None)])


def train_together(
    jobs: Sequence[Job],
    records: Sequence[Record],
    tracker: Tracker,
    tell: Callable[[float, float | None], None],
    stacked: bool,
) -> None:
    """Fill the records by training their jobs; a job whose model cannot be built fails alone."""
    shared = jobs[0].values
    device = set_up_torch(shared)
    data = load(shared, device)
    steps_per_epoch = steps_per_epoch_of(shared, data)
    counts = json.dumps(data.test[1].bincount(minlength=data.num_classes).tolist(), separators=(",", ":"))
    members, trained_records, arrivals, probes = [], [], list[dict[str, int]](), list[str]()
    for job, record in zip(jobs, records, strict=True):
        seeds, steps = job.values["seeds"], job.values["steps"] or job.values["epochs"] * steps_per_epoch
        record.tags |= {"steps_per_epoch": str(steps_per_epoch), "device": device_name(device)}
        if len(counts) <= MAX_TAG:  # cut, it could not be read
            record.tags[TEST_CLASS_COUNTS] = counts
        torch.manual_seed(stream_seed("forward", seeds["forward"]))  # dropout takes no generator of its own
        try:
            model, filled, optimizer = build(job.values, data)
        except (Exception, SystemExit) as error:
            fail(record, error)
            continue
        if found := lint.findings(job.values, data, model, optimizer):
            record.tags[LINT] = lint.told(job.params, found)[:5000]
        asked = {probe: left_out(probe, model) for probe in shared["probe"]["measure"] if tracker.is_persistent}
        probes = [probe for probe, reason in asked.items() if not reason]
        if len(probes) < len(asked):
            record.tags[LEFT_OUT] = f"{job.params['arch']}: {'; '.join(reason for reason in asked.values() if reason)}"
        arrivals.append(predicted(model))
        if "arrival" in probes:
            record.metrics += [(f"predicted_arrival/{layer}", step, 0) for layer, step in arrivals[-1].items()]
        if job.values["arithmetic"] == "quotient":
            record.tags["quotient"] = quotient_summary(model)
        record.tags[INIT_HASH] = state_hash(model)
        record.files["init.csv"] = as_csv(with_moments(job.values, model, filled))
        order, changes = stream("order", seeds["order"]), stream("augment", seeds["augment"])
        members.append(Member(model, optimizer, order, changes, steps))
        trained_records.append((job, record))
    if not members:
        return
    longest = max(member.steps for member in members)
    kept = [record for _, record in trained_records]
    schedule = shared["probe"]
    inputs, labels = spread(data.train, examples_of(members[0].model, schedule["examples"]))
    batch = data.prepare(inputs).unsqueeze(0), labels.unsqueeze(0)
    curved = schedule["curvature"] if "curvature" in probes else []
    observer = Observer(kept, tracker, longest, tell, probes, hidden(members[0].model), batch, curved)
    stored, truth = spread(data.train, examples_of(members[0].model, EXAMPLES))
    started, writing = time.perf_counter(), 0.0

    def finish(index: int, trained: TrainingResult) -> None:
        """Complete and write the record of a member that has ended, while others may still train."""
        nonlocal writing
        now, (job, record) = time.perf_counter(), trained_records[index]
        record.tracking += observer.seconds / len(members)
        taken = len(trained.losses)
        if taken < members[index].steps:
            record.tags["stopped_at"] = str(taken)
        if trained.diverged_at is not None:
            taken = trained.diverged_at
            record.tags["error"] = f"diverged: the loss is not finite at step {taken}"
            record.tags["diverged_at"] = str(taken)
        record.tags[LAST_STEP] = str(taken)
        seconds = now - started - writing
        samples = taken * len(data.train[0]) / steps_per_epoch
        record.tags |= {"seconds": f"{seconds:.3f}", "samples_per_second": f"{samples / seconds:.0f}"}
        if tracker.is_persistent:
            if observer.observed:
                record.files["histograms.npz"] = observer.histograms(index)
            if job.values["save"]:
                record.files["weights.pt"] = weights(members[index].model)
        layers = looked.layers if (looked := looked_at(index)) else []
        seen = Seen(trained, layers, arrivals[index], learnable(data))
        record.tags["verdict"], record.tags["reason"] = verdict(seen)
        record.status = "FINISHED" if trained.diverged_at is None else "FAILED"
        with signals_held():
            end(record, tracker)
        writing += time.perf_counter() - now

    def looked_at(index: int) -> Looked | None:
        """The member's model as it stands; none of a model of whom that cannot be asked, which is no failure."""
        try:
            return look(members[index].model, (data.prepare(stored), truth))
        except Exception:
            return None

    def has_no_hope(step: int, index: int) -> bool:
        if not trained_records[index][0].values["early_stop"] or not (looked := looked_at(index)):
            return False
        return hopeless(step, looked, arrivals[index], is_chain(members[index].model), learnable(data))

    def observe(event: Event) -> None:
        if isinstance(event, Finished):
            finish(event.member, event.result)
        else:
            observer(event)

    def is_observed(step: int) -> bool:
        due = bool(set(probes) - {"curvature"}) and observed(step, schedule["dense"], schedule["a_decade"])
        return due or step in curved or (step == 1 and 0 in curved)

    early_stop_steps = JUDGED if any(job.values["early_stop"] for job in jobs) else ()
    hooks = loop.Hooks(observe, is_observed, early_stop_steps, has_no_hope)
    loop.train(members, data, recipe_of(shared, data), hooks, stacked)


def work(
    jobs: Sequence[Job], why: str, sweep: str, stacked: bool, tell: Callable[[tuple[float, float | None]], None]
) -> list[Record]:
    """One training of a sweep, in whatever process: its records, of which what the store keeps is left out.

    Writes the config of each job to its folder first; a job whose folder cannot be written to fails alone. `tell` hears
    of the training a few times a second.
    """
    told, last = 0.0, None

    def now_and_then(share: float, accuracy: float | None) -> None:
        nonlocal told, last
        last = last if accuracy is None else accuracy
        if time.monotonic() - told > BETWEEN:
            told = time.monotonic()
            tell((share, last))
            last = None

    with environment(jobs[0].variables):
        tracker = open_tracker(jobs[0], sweep)
    records = train_in_folders(
        jobs,
        lambda some: run(some, tracker, now_and_then, why, stacked),
        lambda job, reason: lost([job], tracker, reason)[0],
    )
    tell((1.0, last))
    if tracker.is_persistent:
        for record in records:
            record.metrics = [point for point in record.metrics if point[0] == VAL_ACCURACY]
            record.files = {name: content for name, content in record.files.items() if name == TRACEBACK}
    return records


def lost(jobs: Sequence[Job], tracker: Tracker, error: str, trace: str = "") -> list[Record]:
    """Jobs whose training is gone without a record, as runs that FAILED."""
    records = [record_of(job, {"error": as_text(error).decode()[:5000]}) for job in jobs]
    for record in records:
        if trace:
            record.files[TRACEBACK] = as_text(trace)
        try:
            tracker.begin(record)
        except Exception as gone:  # the store is, too; it is told all the same
            fail(record, gone)
        record.status = "FAILED"
        end(record, tracker)
    return records


def weights(model: nn.Module) -> bytes:
    content = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in model.state_dict().items()}, content)
    return content.getvalue()
