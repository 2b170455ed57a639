"""Sweeps in Python: `zeroinit.load` reads one, `zeroinit.run_sweep` runs one."""

import ast
import os
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.progress import Progress

from zeroinit.errors import BadInput
from zeroinit.progress import PLAIN_LINE, SECONDS_VARIABLE
from zeroinit.report.sweep_data import Sweep, load

__all__ = ["load", "run_sweep"]

BAD_INPUT, INTERRUPTED = 2, 130  # exit codes of the command
PREFIX = "zeroinit: "  # of a message of the command
LOAD_LINE = re.compile(r"Python:  zeroinit\.load\((.*)\)")  # the line that the command ends with
MAX_LINES = 20  # of the command's output in an error


def run_sweep(config: Mapping[str, Any], sweep_file: str | None = None, config_dir: str | None = None) -> Sweep:
    """Run a sweep under a progress bar, and return its runs. Runs that were trained before are not trained again.

    The sweep trains in processes of its own, with the kernels and the threads of the command `zeroinit`, so its runs
    are the same as those of a command line.

    Args:
        config: {key: value}, as one types them after `zeroinit -m`. A list, a tuple or a range is an axis; a list
            within it is one value, such as the widths of a net. A text is taken as it would be typed.
        sweep_file: The name of a sweep's file, such as quickstart; None for the config alone.
        config_dir: A folder with sweeps and options of your own, as after `-cd`.

    Raises:
        BadInput: The command refuses the config; the message is the command's.
        RuntimeError: The command ended without a result.

    Example:
        >>> sweep = zeroinit.run_sweep({"arch": "fnn", "init": ["default", "zero_normal"], "seed": range(3)})
        >>> sweep.difference()
    """
    words = ["-m", *(["-cd", config_dir] if config_dir else []), *(["-cn", sweep_file] if sweep_file else [])]
    words += [f"{key}={_format_value(key, value)}" for key, value in config.items()]
    with tempfile.TemporaryFile("w+") as output:
        code, errors = _run(words, output)
        output.seek(0)
        lines = output.read().splitlines()
    if code == BAD_INPUT:
        sentences = [line.removeprefix(PREFIX) for line in errors if line.startswith(PREFIX)]
        raise BadInput(sentences[-1] if sentences else " ".join(errors))
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    arguments = next((match[1] for line in lines[::-1] if (match := LOAD_LINE.fullmatch(line))), None)
    if code not in (0, 1) or any(line.startswith("Traceback") for line in errors):
        raise RuntimeError("\n".join([f"zeroinit ended with the exit code {code}", *errors[-MAX_LINES:]]))
    if arguments is None and code:
        raise RuntimeError(errors[-1].removeprefix(PREFIX) if errors else f"zeroinit ended with the exit code {code}")
    if arguments is None:
        raise BadInput(f"zeroinit {' '.join(words)}: it stored no sweep; leave out tracker=off, and mode")
    sweep = load(*ast.literal_eval(f"({arguments},)"))
    if code:
        statuses = sweep.runs["status"].value_counts().drop("FINISHED", errors="ignore")
        counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
        warnings.warn(f"some runs did not finish ({counts}); `outcome_reason` says why", stacklevel=2)
    return sweep


def _run(words: Sequence[str], output: TextIO) -> tuple[int, list[str]]:
    """Run the command under a progress bar; return its exit code, and the lines that it wrote to stderr."""
    environment = os.environ | {SECONDS_VARIABLE: "1"}
    command = [sys.executable, "-m", "zeroinit", *words]
    lines: list[str] = []
    with (
        Progress(console=Console()) as bar,
        subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True, env=environment) as process,
    ):
        assert process.stderr
        task = bar.add_task("training", total=None)
        try:
            for line in process.stderr:
                if match := PLAIN_LINE.match(line):
                    bar.update(task, completed=float(match["percent"]), total=100, description=f"{match['runs']} runs")
                else:
                    lines.append(line.rstrip("\n"))
                    bar.console.print(lines[-1], markup=False, highlight=False, soft_wrap=True)
        except KeyboardInterrupt:
            _end(process)
            raise
    return process.returncode, lines


def _end(process: "subprocess.Popen[str]") -> None:
    """Wait until an interrupted command has kept what is done. A notebook interrupts this process alone."""
    try:
        process.wait(1)  # a terminal has interrupted both
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()


def _format_value(key: str, value: Any) -> str:
    """Return a value as one types it; the values of an axis with commas between them."""
    value = value.tolist() if hasattr(value, "tolist") else value  # an array, or a number of numpy or torch
    if isinstance(value, set | frozenset | Mapping):
        raise BadInput(f"{key}={value}: give a number, a text, or a list of them")
    if isinstance(value, list | tuple | range):
        if not value:
            raise BadInput(f"{key}=[]: an axis needs a value")
        return ",".join(map(_format_single, value))
    return _format_single(value)


def _format_single(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple | range):
        return f"[{','.join(map(_format_single, value))}]"
    return str(value)
