"""SIGKILL and interruptions of a sweep at random times, and SIGKILL of a training that writes checkpoints."""

import signal
import sqlite3
import time
from contextlib import closing, nullcontext
from pathlib import Path

from fault_parts.commands import Command, kill
from fault_parts.stores import DATABASE, SWEEP, locked
from fault_parts.trials import WORDS, Part, Trial

VICTIMS = ("parent", "worker", "tree")
ATTEMPTS = 4  # to hit the command before it ends
WORKER_SHARE = 0.6  # of a sweep, at most, is over when its workers begin
SECOND_KILL = 0.25  # of the trials kill the second command, too
EVERY_STEP = {"ZEROINIT_CHECKPOINT_SECONDS": "0"}
DIGITS = "dataset=digits dataset.max_examples=200 dataset.batch_size=50 save=true probe=default"
STEPS = 200
SINGLE = (*f"{DIGITS} arch=mnist_cnn steps={STEPS} sweep={SWEEP}".split(),)
STACK = (
    "-m",
    *f"{DIGITS} init=default,zero,zero_normal seed=range(2) steps={STEPS // 2},{STEPS} sweep={SWEEP}".split(),
    "arch.hidden=[9,7]",
    "hydra.launcher.workers=1",
)


def kill_sweep(trial: Trial) -> None:
    """Kill a part of the processes of a sweep, type the command again, and compare."""
    unbroken = trial.bench.unbroken()
    kills = 2 if trial.random.random() < SECOND_KILL else 1
    limit = unbroken.seconds
    for number in range(kills):
        victim = trial.random.choice(VICTIMS)
        for _ in range(ATTEMPTS):
            command = trial.start(WORDS)
            start = min(unbroken.first_worker, WORKER_SHARE * limit) if victim == "worker" else 0.0
            is_hit = _kill_at(trial, command, victim, trial.random.uniform(start, limit))
            command.wait()  # after the death of a worker it goes on
            if is_hit or number > 0:  # a second command may have little to do
                break
            limit = min(limit, command.seconds)
            trial.begin_again()
    trial.run_until_good(WORDS)
    trial.compare(unbroken)


def _kill_at(trial: Trial, command: Command, victim: str, seconds: float) -> bool:
    """Kill the victim at this time; return whether the command had not ended before."""
    end = command.began + seconds
    command.wait_until(lambda: time.monotonic() >= end)
    if victim == "worker" and not command.wait_until(lambda: bool(command.workers())):
        return False
    if command.has_ended:
        return False
    pids = {"parent": lambda: [command.pid], "worker": command.workers, "tree": command.tree}[victim]()
    for pid in trial.random.sample(pids, 1) if victim == "worker" else pids:
        kill(pid)
    trial.notes.append(f"killed the {victim} after {time.monotonic() - command.began:.2f} s")
    return True


def kill_checkpointed(trial: Trial) -> None:
    """Kill a training at a random step, type the command again, and compare."""
    words = trial.random.choice((SINGLE, STACK))
    unbroken = trial.bench.unbroken(words)
    step = trial.random.randrange(1, STEPS)
    for _ in range(ATTEMPTS):
        command = trial.start(words, EVERY_STEP)
        if command.wait_until(lambda: _newest_checkpoint(trial.folder) >= step):
            break
        trial.begin_again()
    for pid in command.tree():
        kill(pid)
    command.wait()
    what = "stack" if words is STACK else "run"
    trial.notes.append(f"killed the {what} in step {_newest_checkpoint(trial.folder)}")
    trial.run_until_good(words, EVERY_STEP)
    trial.compare(unbroken)
    resumed = _tag_values(trial.folder, "resumed_at")
    trial.notes.append(f"resumed at {sorted(resumed)}")
    if not resumed:
        trial.errors.append("no run went on from its checkpoint")


def _newest_checkpoint(folder: Path) -> int:
    """Return the number of the newest checkpoint, which is the step where each step has one."""
    numbers = [int(path.stem) for path in folder.glob("mlruns/checkpoints/*/*.checkpoint") if path.stem.isdecimal()]
    return max(numbers, default=0)


def _tag_values(folder: Path, key: str) -> set[str]:
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        return {value for (value,) in connection.execute("select distinct value from tags where key = ?", (key,))}


def interrupt(trial: Trial) -> None:
    """Press Ctrl-C or send SIGTERM at a random time, every other time with a locked store."""
    unbroken = trial.bench.unbroken()
    number, is_locked = trial.random.choice((signal.SIGINT, signal.SIGTERM)), trial.random.random() < 0.5
    limit = unbroken.seconds
    for _ in range(ATTEMPTS):
        command = trial.start(WORDS)
        with locked(trial.database) if is_locked else nullcontext():
            code = _interrupt_at(trial, command, number, trial.random.uniform(0, limit))
        if code is not None:
            break
        limit = min(limit, command.seconds)
        trial.begin_again()
    trial.run_until_good(WORDS)
    trial.compare(unbroken)


def _interrupt_at(trial: Trial, command: Command, number: signal.Signals, seconds: float) -> int | None:
    """Interrupt the command at this time, and return its exit code; None if it ended before."""
    end = command.began + seconds
    command.wait_until(lambda: time.monotonic() >= end)
    return None if command.has_ended else trial.end_by(command, number)


PARTS = (
    Part("kill", 100, 1, kill_sweep),
    Part("checkpoint", 30, 2, kill_checkpointed),
    Part("interrupt", 30, 2, interrupt),
)
