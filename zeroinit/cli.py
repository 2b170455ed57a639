"""The one entrypoint, `zeroinit`: composes a config, trains what it says, evaluates, and keeps the run."""

import os
import shlex
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from zeroinit import CONF
from zeroinit.build import check, open_tracker
from zeroinit.build.repeatable import check_repeatable
from zeroinit.config import Job, composition, rerun
from zeroinit.config.compose import is_multirun, is_search, job_of, sweep_name
from zeroinit.config.overrides import check_overrides, check_plugins
from zeroinit.environment import environment
from zeroinit.errors import BadInput, Ended, RunFailed
from zeroinit.progress import Bar
from zeroinit.report.manifest import Manifest, PlannedRun, read_question
from zeroinit.sweep import dry_run, resume
from zeroinit.sweep.messages import best_val_accuracy, failure_line, new_warnings, result_line
from zeroinit.sweep.runner import run
from zeroinit.tracker import TRACEBACK, VAL_ACCURACY, Record, Tracker, without_password
from zeroinit.tracker.provenance import COMMAND, provenance
from zeroinit.tracker.stale import tell_dead_runs
from zeroinit.user_code import explain_exits

MAX_SENTENCE = 1500  # characters of a message on stderr


def asked(planned: Sequence[PlannedRun], claims: Sequence[Mapping[str, Any]], size: str) -> Manifest:
    """What the sweep asks: the comment that opens its file, the command as it was typed, the runs as planned, and those
    of its claims that are of its size: that of its runs, or the option of a size that names none.
    """
    size = size or HydraConfig.get().runtime.choices.get("size", "")
    judged = [claim for claim in claims if claim.get("size", size) == size]
    return Manifest(question(), typed_command(), planned, judged, size)


def typed_command() -> str:
    """Return the command as it was typed, without passwords."""
    return without_password(shlex.join(["zeroinit", *sys.argv[1:]]))


def question() -> str:
    """The question of the sweep's file; none of a grid from the command line."""
    hydra_config = HydraConfig.get()
    name = str(hydra_config.job.config_name)
    files = [Path(one.path, f"{name}.yaml") for one in hydra_config.runtime.config_sources if one.schema == "file"]
    opened = next((path for path in files if path.is_file() and name != "config"), None)
    return read_question(opened) if opened else ""


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def task(cfg: DictConfig) -> float | None:
    """Hydra's task function: one job, on its own or under any launcher."""
    try:
        return train_job(cfg)
    except SystemExit as end:
        if is_multirun():
            raise
        if not end.code:
            return None
        raise Ended(int(end.code)) from None  # so that callbacks hear of the job's end


def train_job(cfg: DictConfig) -> float | None:
    """Check a job, and train it unless it was trained before; its best validation accuracy.

    Data and store are where the command was typed; the job trains in its own folder where hydra.job.chdir=true.
    """
    try:
        check_mode()
        with folder_of_command():
            job = job_of(cfg)
            with environment(job.variables):
                tracker, trained = prepare(job)
    except BadInput as error:
        stop(error)
    if trained:
        return best_val_accuracy(trained)
    with environment(job.variables), Bar(1) as bar:
        [record] = run([job], tracker, bar.at)
        for line in new_warnings(record, set()):
            bar.tell(line)
        if is_multirun():
            bar.tell(result_line(record) if record.status == "FINISHED" else failure_line(job, record))
    if not is_multirun():
        print(result_line(record))
        if TRACEBACK in record.files:
            sys.stderr.write(record.files[TRACEBACK].decode())
        with folder_of_command():
            where = tracker.ui_hint()
        if where:
            print(where)
        if record.status != "FINISHED":
            sys.exit(1)
    if record.status != "FINISHED" and is_search(HydraConfig.get()):
        raise RunFailed(record.tags["error"])
    return best_val_accuracy(record)


def prepare(job: Job) -> tuple[Tracker, Record | None]:
    """Check a job, and open its tracker; with the run, if it was trained before. Exits where nothing is to be trained.

    Raises:
        BadInput: The job cannot be trained, or its run cannot be kept.
    """
    check_jobs([job])  # before the bar, as decoding images has one of its own
    if job.values["check"] == "only":
        with explain_exits("check=only"):
            findings = dry_run.only([job], is_multirun())
        sys.exit(findings)
    if job.values["check"] == "audit":
        with explain_exits("check=audit"):
            dry_run.audited(job)
        sys.exit()
    tracker = open_tracker(job, sweep_name())
    if not is_multirun():  # a sweep has done so before its first job
        tell_dead_runs(tracker)
    if job.values["plan"]:
        dry_run.planned([job], tracker, 1)
        sys.exit()
    for trained in resume.finished([job], tracker).values():
        tracker.load_histories([trained], [VAL_ACCURACY])
        print(f"{result_line(trained)}\nIt was trained before; rerun=true trains it again.\n{tracker.ui_hint()}")
        return tracker, trained
    provenance()  # kept for the run's tags, which are of this folder's repository
    return tracker, None


@contextmanager
def folder_of_command() -> Iterator[None]:
    """The current folder is the one in which the command was typed, whatever hydra.job.chdir says."""
    with chdir(HydraConfig.get().runtime.cwd):
        yield


def check_jobs(jobs: Sequence[Job]) -> None:
    """Check all that can be checked before the first job trains, and write the notes on its data."""
    check_repeatable(jobs)
    tell_notes(check(jobs))


told_notes: set[str] = set()  # of this command


def tell_notes(notes: Iterable[str]) -> None:
    """Write the notes on data that this command has not told yet."""
    for note in notes:
        if note not in told_notes:
            sys.stderr.write(f"zeroinit: {note}\n")
            told_notes.add(note)


def stop(error: BadInput, code: int = 2) -> NoReturn:
    """Write the one sentence, without the middle of a very long one, and end with the exit code.

    The code is 2 before any training, and 1 if the store fails after it.
    """
    text = " ".join(str(error).split())
    if len(text) > MAX_SENTENCE:
        text = f"{text[: MAX_SENTENCE // 2]} ... {text[-MAX_SENTENCE // 2 :]}"
    sys.stderr.write(f"zeroinit: {text}\n")
    sys.exit(code)


def check_mode() -> None:
    """Raise BadInput for plugins that are none, and for axes that Hydra would leave out of what it takes for a run."""
    hydra_config = HydraConfig.get()
    check_plugins(hydra_config)
    axes = hydra_config.sweeper.get("params") or ()
    if axes and not is_multirun() and not any(word.startswith("hydra.mode=") for word in sys.argv):
        raise BadInput(
            f"hydra.mode=null: {hydra_config.job.config_name} has axes ({', '.join(axes)}), which a single run leaves "
            "out; give -m, or set it to MULTIRUN there"
        )


def main() -> None:
    """Hand the command line to Hydra, and tell what Hydra refuses in one sentence.

    With HYDRA_FULL_ERROR=1 in the environment, Hydra's own exception is shown instead.
    """
    told_notes.clear()
    sys.path.append(os.getcwd())  # so that arch._target_=mine.Net finds mine.py
    os.environ[COMMAND] = typed_command()  # for the tags of runs in other processes, too
    typed = [word for word in sys.argv[1:] if "=" in word and not word.startswith("-")]
    try:
        check_overrides(OverridesParser.create().parse_overrides(typed))
    except BadInput as error:
        stop(error)
    except HydraException:
        pass  # Hydra parses them again
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        run_task()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises its errors and prints none
    try:
        run_task()
    except BrokenPipeError:  # of whoever read the output
        raise
    except BadInput as error:
        stop(error)
    except Exception as error:
        if refused := composition.explain(error):
            stop(refused)
        sys.stderr.write(without_password(traceback.format_exc()))
        sys.exit(1)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def run_task() -> None:
    """Hand the command to Hydra: with a saved config if -cp names one, else with zeroinit's own."""
    if not rerun.run_from_folder(task.__wrapped__):
        task()
