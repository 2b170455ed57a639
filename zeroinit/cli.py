"""The entry point `zeroinit`: composes a config, trains it, evaluates the model, and stores the run."""

import os
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from zeroinit import CONF
from zeroinit.build import open_tracker
from zeroinit.config import Job, composition, rerun
from zeroinit.config.compose import is_multirun, is_search, job_of, sweep_name
from zeroinit.config.grid_keys import MAX_JOBS, PAIRED, SKIP_IF
from zeroinit.config.overrides import check_extent, check_overrides, check_plugins
from zeroinit.config.yaml_limits import limit_hydra
from zeroinit.environment import environment
from zeroinit.errors import BadInput, Ended, RunFailed
from zeroinit.progress import Bar
from zeroinit.report import where_to_look
from zeroinit.report.manifest import read_question
from zeroinit.sweep import dry_run, resume
from zeroinit.sweep.alone import train_alone
from zeroinit.sweep.checkpoint import discard, note_folder
from zeroinit.sweep.checks import check_jobs, forget_notes
from zeroinit.sweep.command import Command
from zeroinit.sweep.messages import best_val_score, failure_line, new_warnings, result_line
from zeroinit.sweep.resumption import Resumption, plan_resumption
from zeroinit.sweep.sender import send_leftovers
from zeroinit.tracker import TRACEBACK, Record, Status, Tracker, mask_word, without_password
from zeroinit.tracker.provenance import COMMAND, provenance
from zeroinit.tracker.scores import VAL_SCORES
from zeroinit.tracker.spool import Spool
from zeroinit.tracker.stale import report_dead_runs
from zeroinit.tracker.tags import Tag
from zeroinit.user_code import explain_exits

MAX_SENTENCE = 1500  # characters of a message on stderr
# keys without an effect on a single run
LIMITS_OF_SWEEPS = ("fail_fast", "time_limit.sweep", "hydra.launcher.memory", SKIP_IF, PAIRED, MAX_JOBS)


def describe_command(baseline: str) -> Command:
    """Return what the command of a sweep says, beside its jobs; `baseline` is its key `reference`."""
    hydra_config = HydraConfig.get()
    size = str(hydra_config.runtime.choices.get("size", ""))
    return Command(typed_command(), find_question(), sweep_name(), size, Path(hydra_config.sweep.dir), baseline)


def typed_command() -> str:
    """Return the command as it was typed, without passwords."""
    shown = [(word, mask_word(word)) for word in sys.argv[1:]]
    # `***` alone needs no quotes
    words = [masked if shlex.quote(word) == word else shlex.quote(masked) for word, masked in shown]
    return " ".join(["zeroinit", *words])


def find_question() -> str:
    """Return the question that the sweep's file asks; empty for a grid from the command line."""
    hydra_config = HydraConfig.get()
    name = str(hydra_config.job.config_name)
    sources = hydra_config.runtime.config_sources
    files = [Path(source.path, f"{name}.yaml") for source in sources if source.schema == "file"]
    path = next((path for path in files if path.is_file() and name != "config"), None)
    return read_question(path) if path else ""


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def task(cfg: DictConfig) -> float | None:
    """Train one job, alone or under any launcher: Hydra's task function."""
    try:
        return train_job(cfg)
    except SystemExit as end:
        if is_multirun() or not HydraConfig.get().callbacks:  # without zeroinit's callback, Hydra would report Ended
            raise
        if not end.code:
            return None
        raise Ended(int(end.code)) from None  # so that callbacks are called at the end of the job


def train_job(cfg: DictConfig) -> float | None:
    """Check a job, train it unless it was trained before, and return its best validation score.

    Data and store are relative to the folder of the command; with hydra.job.chdir=true the job trains in its own.
    """
    try:
        _check_plugins_and_axes()
        with _folder_of_command():
            job = job_of(cfg)
            _check_limits_of_sweeps()
            with environment(job.variables):
                note_folder()
                tracker, trained = _prepare(job)
                resumed = plan_resumption([job])
                spool = Spool.for_tracker(tracker)  # whatever becomes the current folder
    except BadInput as error:
        exit_with_bad_input(error)
    if trained:
        return best_val_score(trained)
    record = _train(job, tracker, spool, resumed)
    if not is_multirun():
        print(result_line(record))
        if TRACEBACK in record.files:
            sys.stderr.write(record.files[TRACEBACK].decode())
        with _folder_of_command():
            _print_lines(where_to_look(tracker))
        if record.status != Status.FINISHED:
            sys.exit(1)
    if record.status != Status.FINISHED and is_search(HydraConfig.get()):
        raise RunFailed(record.tags[Tag.ERROR])
    return best_val_score(record)


def _train(job: Job, tracker: Tracker, spool: Spool, resumed: Resumption) -> Record:
    """Train a job under a progress bar. Ends the command if the store does not take its run."""
    is_stacked = any(stack.is_stack for stack in resumed.stacks)  # as it was in a sweep
    with environment(job.variables), Bar(1) as bar:
        for line in resumed.lines:
            bar.print_line(line)
        try:
            record = train_alone(job, tracker, spool, bar, is_stacked)
        except BadInput as error:
            exit_with_bad_input(error)
        for line in new_warnings(record, set()):
            bar.print_line(line)
        if is_multirun():
            bar.print_line(result_line(record) if record.status == Status.FINISHED else failure_line(job, record))
    return record


def _prepare(job: Job) -> tuple[Tracker, Record | None]:
    """Check a job, and open its tracker. Exits if nothing is to be trained.

    Returns:
        The tracker, and the record of the run if it was trained before.

    Raises:
        BadInput: The job cannot be trained, or its run cannot be stored.
    """
    check_jobs([job])  # before the bar, as decoding images has one of its own
    mode = job.config.mode
    if mode == "lint":
        with explain_exits("mode=lint"):
            code = dry_run.print_findings([job], is_multirun())
        sys.exit(code)
    if mode == "audit":
        with explain_exits("mode=audit"):
            dry_run.print_audit(job)
        sys.exit()
    tracker = open_tracker(job, sweep_name())
    if not is_multirun():  # a sweep has done so before its first job
        send_leftovers(tracker)
        report_dead_runs(tracker)
    if mode == "plan":
        dry_run.print_plan([job], tracker, 1)
        sys.exit()
    for trained in resume.find_finished([job], tracker).values():
        discard([trained.identity])  # a process may have died before it did so
        tracker.load_histories([trained], VAL_SCORES)
        _print_lines([result_line(trained), "It was trained before; rerun=true trains it again."])
        _print_lines(where_to_look(tracker))
        return tracker, trained
    provenance()  # cached here for the run's tags, which name the repository of this folder
    return tracker, None


def _print_lines(lines: Sequence[str]) -> None:
    print(*lines, sep="\n", end="\n" if lines else "")


@contextmanager
def _folder_of_command() -> Iterator[None]:
    """Work in the folder in which the command was typed, whatever hydra.job.chdir says."""
    with chdir(HydraConfig.get().runtime.cwd):
        yield


def exit_with_bad_input(error: BadInput) -> NoReturn:
    """Write the message in one line, without the middle of a very long one, and end with the exit code of the error."""
    text = " ".join(without_password(str(error)).split())
    if len(text) > MAX_SENTENCE:
        text = f"{text[: MAX_SENTENCE // 2]} ... {text[-MAX_SENTENCE // 2 :]}"
    sys.stderr.write(f"zeroinit: {text}\n")
    sys.exit(error.exit_code)


def _check_plugins_and_axes() -> None:
    """Raise BadInput for what is no plugin, and for axes that Hydra would ignore in a single run."""
    hydra_config = HydraConfig.get()
    check_plugins(hydra_config)
    axes = hydra_config.sweeper.get("params") or ()
    if axes and not is_multirun() and not any(word.startswith("hydra.mode=") for word in sys.argv):
        raise BadInput(
            f"hydra.mode=null: {hydra_config.job.config_name} has axes ({', '.join(axes)}), which a single run leaves "
            "out; give -m, or set it to MULTIRUN there"
        )


def _check_limits_of_sweeps() -> None:
    """Raise BadInput for a limit that is typed for a single run, and that only a sweep has."""
    if is_multirun():
        return
    overrides = HydraConfig.get().overrides
    for line in (*overrides.task, *overrides.hydra):
        key, _, value = line.lstrip("+").partition("=")
        if key in LIMITS_OF_SWEEPS and value != "null":
            raise BadInput(f"{line}: it limits a sweep, and this is a single run; leave it out, or give -m")


def main() -> None:
    """Hand the command line to Hydra, and report what Hydra refuses in one sentence.

    With HYDRA_FULL_ERROR=1 in the environment, Hydra's own exception is shown instead.
    """
    forget_notes()
    limit_hydra()
    if pickled := next((word for word in sys.argv[1:] if _is_experimental_rerun(word)), None):
        exit_with_bad_input(
            BadInput(f"{pickled}: it reads a pickle, which is code; give -cp RUN/.hydra -cn config, the saved config")
        )
    sys.path.append(os.getcwd())  # so that arch._target_=mine.Net finds mine.py
    os.environ[COMMAND] = typed_command()  # for the tags of runs in other processes, too
    note_folder()
    overrides = [word for word in sys.argv[1:] if "=" in word and not word.startswith("-")]
    try:
        check_extent(overrides)
        check_overrides(OverridesParser.create().parse_overrides(overrides))
    except BadInput as error:
        exit_with_bad_input(error)
    except HydraException:
        pass  # Hydra parses them again
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        _run_task()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises its errors and prints none
    try:
        _run_task()
    except BrokenPipeError:  # the reader of the output is gone
        raise
    except BadInput as error:
        exit_with_bad_input(error)
    except Ended as end:  # of a config without zeroinit's callback, which ends the command otherwise
        sys.exit(end.code)
    except Exception as error:
        if refused := composition.explain(error):
            exit_with_bad_input(refused)
        sys.stderr.write(without_password(traceback.format_exc()))
        sys.exit(1)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def _is_experimental_rerun(word: str) -> bool:
    """Return whether a word is Hydra's option, or a short form of it, that unpickles any file."""
    return word.startswith("--e") and "--experimental-rerun".startswith(word.partition("=")[0])


def _run_task() -> None:
    """Hand the command to Hydra: with a saved config if -cp names one, else with zeroinit's own."""
    if not rerun.run_from_folder(task.__wrapped__):
        task()
