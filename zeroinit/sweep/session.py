"""A training of one or more jobs, from their configs to complete records."""

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from zeroinit.build import (
    build,
    load,
    make_loss,
    make_scheduler,
    make_user_metrics,
    recipe_of,
    set_up_torch,
    steps_per_epoch_of,
)
from zeroinit.config import Job
from zeroinit.config.schema import RunConfig
from zeroinit.dataset.data import evenly_spaced, mean_deviation
from zeroinit.diagnostics import lint
from zeroinit.diagnostics.moments import with_moments
from zeroinit.init import state_hash
from zeroinit.observed_layers import hidden_layers, other_parameters
from zeroinit.probes.first_gradient import FIRST_GRADIENT_PREDICTED, FirstGradient
from zeroinit.probes.inspection import EXAMPLES, Inspection, examples_for, inspect_model
from zeroinit.probes.metrics import layer_reasons, skip_reasons
from zeroinit.probes.observer import Observer
from zeroinit.probes.outcome import EARLY_STOP_STEPS, Evidence, find_baselines, is_hopeless, judge
from zeroinit.probes.probe import Subject
from zeroinit.probes.wavefront import is_chain, predict_first_gradients
from zeroinit.report.tables import as_csv
from zeroinit.rng import stream, stream_seed
from zeroinit.sweep import checkpoint
from zeroinit.sweep.checkpoint import Checkpoint, Unusable
from zeroinit.sweep.failures import mark_failed
from zeroinit.sweep.repeated import find_repeated
from zeroinit.sweep.saved_training import SavedRun, SavedTraining
from zeroinit.tracker import Record, RunWriter, Status
from zeroinit.tracker.provenance import device_name
from zeroinit.tracker.scores import ScoreValue
from zeroinit.tracker.tags import MAX_TAG, Tag
from zeroinit.training import loop
from zeroinit.training.cohort import Cohort, Member
from zeroinit.training.evaluation import evaluate_members
from zeroinit.training.events import Event, Finished, TrainingResult
from zeroinit.training.quotient import quotient_summary

Keep = Callable[[Sequence[Record]], None]  # keeps records of runs that ended, whole


@dataclass(frozen=True)
class Run:
    """A job whose model could be built, what trains it, and its record."""

    job: Job
    record: Record
    member: Member
    first_gradients: dict[str, int]  # predicted, {layer: step}
    is_repeated: bool = False  # its record is kept already; see `zeroinit.sweep.repeated`


class Session:
    """Jobs that train together, on data that they share.

    Args:
        shared: the config of one of them, for the keys in which all are equal.
        tracker: shows how far the runs are.
        keep: is called with the records of members that ended at the same step.
        report_progress: is called with the share of the steps done, and with a validation score or None.
    """

    def __init__(
        self,
        shared: RunConfig,
        tracker: RunWriter,
        keep: Keep,
        report_progress: Callable[[float, ScoreValue | None], None],
    ) -> None:
        self.shared, self.tracker, self.report_progress = shared, tracker, report_progress
        self._keep = keep
        self._ended: list[Record] = []  # that `keep` has not got yet
        self.device = set_up_torch(shared)
        self.data = load(shared, self.device)
        self.loss = make_loss(shared, self.data)
        self.baselines = find_baselines(self.data, self.loss.score)
        self.steps_per_epoch = steps_per_epoch_of(shared, self.data)
        self.runs: list[Run] = []
        self.probes: list[str] = []
        self.writing_seconds = 0.0

    def add(self, job: Job, record: Record, is_repeated: bool = False) -> None:
        """Build the job's model, and fill the record with what is known before training.

        A job whose model cannot be built fails alone.
        """
        config = job.config
        seeds, steps = config.seeds, config.duration.count_steps(self.steps_per_epoch)
        self._tag_data(record)
        torch.manual_seed(stream_seed("forward", seeds.forward))  # dropout takes no generator
        try:
            model, rules, optimizer = build(config, self.data)
            scheduler = make_scheduler(config, optimizer, self.data)
        except (Exception, SystemExit) as error:
            mark_failed(record, error)
            return
        if findings := lint.findings(config, self.data, model, optimizer):
            record.tags[Tag.LINT_FINDINGS] = lint.format_findings(job.params, findings)[:5000]
        self._choose_probes(job, record, model)
        first_gradients = predict_first_gradients(model)
        if FirstGradient.name in self.probes:
            record.metrics += [(FIRST_GRADIENT_PREDICTED.of(layer), step, 0) for layer, step in first_gradients.items()]
        if config.arithmetic == "quotient":
            record.tags[Tag.QUOTIENT] = quotient_summary(model)
        record.tags[Tag.INIT_HASH] = state_hash(model)
        record.files["init.csv"] = as_csv(with_moments(config, rules))
        order, augment = stream("order", seeds.order), stream("augment", seeds.augment)
        member = Member(model, optimizer, order, augment, steps, scheduler)
        self.runs.append(Run(job, record, member, first_gradients, is_repeated))

    def train(self, stacked: bool) -> None:
        """Train the members. The record of each is whole, and kept, when the member ends."""
        if not self.runs:
            return
        for source in [*self._find_checkpoints(stacked), None]:
            try:
                return self._train(stacked, source)
            except Unusable as error:  # before the first step
                self._build_again(f"it starts again, as its checkpoint cannot be used: {error}")

    def _find_checkpoints(self, stacked: bool) -> list[Checkpoint]:
        """Return the checkpoints of these runs, the best first."""
        if not self.tracker.is_persistent:
            return []
        members = [checkpoint.member_of(run.job, run.record.identity) for run in self.runs]
        return checkpoint.find(members, stacked, checkpoint.describe_machine(self.device))

    def _build_again(self, reason: str) -> None:
        """Give the runs new models, in the place of those that a checkpoint has filled in part."""
        runs, self.runs = [run for run in self.runs if not run.is_repeated], []
        for run in runs:
            run.record.metrics = []
            run.record.tags[Tag.CHECKPOINT] = reason
            self.add(run.job, run.record)

    def _take_slots(self, source: Checkpoint) -> None:
        """Put the runs into the order of their slots in a checkpoint, with those that ended since in theirs."""
        for job, record in find_repeated(source, [run.job for run in self.runs]):
            self.add(job, record, is_repeated=True)
        slots = {member.identity: slot for slot, member in enumerate(source.header.members)}
        self.runs.sort(key=lambda run: slots[run.record.identity])

    def _train(self, stacked: bool, source: Checkpoint | None) -> None:
        if source:
            self._take_slots(source)
        members = [run.member for run in self.runs]
        longest = max(member.steps for member in members)
        records = [run.record for run in self.runs]
        self.observer = Observer(
            records, self.tracker, longest, self.report_progress, self.probes, self._subject(members[0].model)
        )
        self.batch = self._batch(members[0].model, EXAMPLES)
        self.started = time.perf_counter()
        early_stop_steps = EARLY_STOP_STEPS if any(run.job.config.early_stop for run in self.runs) else ()
        evaluate = partial(evaluate_members, user_metrics=make_user_metrics(self.shared))
        hooks = loop.Hooks(self._observe, self.observer.is_observed, early_stop_steps, self._should_stop, evaluate)
        saved_runs = [
            SavedRun(run.job, checkpoint.member_of(run.job, run.record.identity), run.record) for run in self.runs
        ]
        self.saved = SavedTraining(saved_runs, self.observer, self._clock, self.device, source)
        if self.tracker.is_persistent:
            hooks = replace(hooks, restore=self.saved.restore, after_step=self._after_step)
        try:
            loop.train(members, self.data, recipe_of(self.shared, self.data), hooks, stacked)
        finally:
            self._keep_ended()

    def _after_step(self, step: int, cohort: Cohort) -> None:
        """Write a checkpoint if it is time. The members that it lacks, because they have ended, are kept first."""
        self._keep_ended()
        self.saved.after_step(step, cohort)

    def _clock(self) -> float:
        """Return the seconds that the members have trained in this process."""
        return time.perf_counter() - self.started - self.writing_seconds

    def _tag_data(self, record: Record) -> None:
        record.tags |= {Tag.STEPS_PER_EPOCH: str(self.steps_per_epoch), Tag.DEVICE: device_name(self.device)}
        labels, num_classes = self.data.test[1], self.data.num_classes
        if num_classes is None:
            return
        counts = json.dumps(labels.bincount(minlength=num_classes).tolist(), separators=(",", ":"))
        if len(counts) <= MAX_TAG:  # a truncated list could not be read
            record.tags[Tag.TEST_CLASS_COUNTS] = counts

    def _choose_probes(self, job: Job, record: Record, model: nn.Module) -> None:
        """Choose the probes that apply to the model, which is of the same kind in each job."""
        wanted = self.shared.probe.measure if self.tracker.is_persistent else ()
        reasons = skip_reasons(wanted, model)
        self.probes = [probe for probe in wanted if probe not in reasons]
        sentences = [f"{probe} is left out: {reason}" for probe, reason in reasons.items()]
        sentences += layer_reasons(self.probes, model)
        if sentences:
            record.tags[Tag.SKIPPED_PROBES] = f"{job.params['arch']}: {'; '.join(sentences)}"

    def _batch(self, model: nn.Module, examples: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs (N, *input_shape) and their targets, evenly spaced in the training set."""
        inputs, targets = evenly_spaced(self.data.train, examples_for(model, examples))
        return self.data.to_inputs(inputs), targets

    def _subject(self, model: nn.Module) -> Subject:
        inputs, targets = self._batch(model, self.shared.probe.examples)
        return Subject(
            hidden_layers(model),
            (inputs.unsqueeze(0), targets.unsqueeze(0)),
            self.shared.probe.schedule,
            other_parameters(model),
        )

    def _observe(self, event: Event) -> None:
        if isinstance(event, Finished):
            self._finish(self.runs[event.member], event.member, event.result)
        else:
            self._keep_ended()
            self.observer(event)

    def _keep_ended(self) -> None:
        """Keep the members that have ended, all at once."""
        if self._ended:
            began = time.perf_counter()
            self._keep(self._ended)
            checkpoint.discard([record.identity for record in self._ended])
            self._ended = []  # not before: they are kept again if that was interrupted
            self.writing_seconds += time.perf_counter() - began

    def _finish(self, run: Run, index: int, result: TrainingResult) -> None:
        """Complete the record of a member that ended, while others may still train."""
        if run.is_repeated:
            return
        now, record = time.perf_counter(), run.record
        record.tracking += self.observer.seconds / len(self.runs)
        steps = len(result.losses)
        if steps < run.member.steps:
            record.tags[Tag.STOPPED_AT] = str(steps)
        if result.diverged_at is not None:
            steps = result.diverged_at
            record.tags[Tag.ERROR] = f"diverged: the loss is not finite at step {steps}"
            record.tags[Tag.DIVERGED_AT] = str(steps)
        record.tags[Tag.LAST_STEP] = str(steps)
        seconds = self._clock() - self.saved.seconds
        samples = steps * len(self.data.train[0]) / self.steps_per_epoch
        record.tags |= {Tag.TRAIN_SECONDS: f"{seconds:.3f}", Tag.SAMPLES_PER_SECOND: f"{samples / seconds:.0f}"}
        if self.tracker.is_persistent:
            record.files |= self.observer.files(index)
            if run.job.config.save:
                record.files["weights.pt"] = state_dict_bytes(run.member.model)
        inspection = self._inspect(run)
        layers = inspection.layers if inspection else []
        evidence = Evidence(result, layers, run.first_gradients, self.baselines)
        outcome, reason = judge(evidence)
        record.tags |= {Tag.OUTCOME: outcome.value, Tag.OUTCOME_REASON: reason}
        record.status = Status.FINISHED if result.diverged_at is None else Status.FAILED
        record.close()
        self._ended.append(record)
        self.writing_seconds += time.perf_counter() - now

    def _inspect(self, run: Run) -> Inspection | None:
        """Inspect the member's model as it is; None if the model does not allow it, which is no failure."""
        try:
            deviation = partial(mean_deviation, self.data, "train")
            return inspect_model(run.member.model, self.batch, self.loss, deviation)
        except Exception:
            return None

    def _should_stop(self, step: int, index: int) -> bool:
        run = self.runs[index]
        if not run.job.config.early_stop or not (inspection := self._inspect(run)):
            return False
        return is_hopeless(step, inspection, run.first_gradients, is_chain(run.member.model), self.baselines)


def state_dict_bytes(model: nn.Module) -> bytes:
    """Return the model's state dict on the CPU, as torch.save writes it."""
    content = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in model.state_dict().items()}, content)
    return content.getvalue()
