"""An input and how a command on it ends."""

import io
import os
import re
import signal
import sys
import tempfile
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra

from zeroinit import build, cli
from zeroinit.build import data as build_data
from zeroinit.build import tracker as build_tracker
from zeroinit.config import composition
from zeroinit.dataset import folder
from zeroinit.errors import BadInput
from zeroinit.sweep import grid
from zeroinit.sweep.checks import check_jobs

MAX_SECONDS = 10
MAX_CHARACTERS = 1600
# what may stand before the sentence: progress, and notes on the data
NOTES = re.compile(r"zeroinit: .*|(decoding|composing) [\d,]+ \w+(: done in \d+ s)?")

# content of a file; or a link to it, a FIFO, an empty folder, or a file of so many zeros
Entry = bytes | tuple[str, str]


@dataclass(frozen=True)
class Example:
    """An input.

    Attributes:
        words: of the command.
        files: {path: content} in its folder.
        mentions: texts of which the sentence must have one.
    """

    words: list[str]
    files: dict[str, Entry] = field(default_factory=dict)
    mentions: tuple[str, ...] = ()

    def write(self, root: Path) -> None:
        """Write the files below a folder."""
        for name, entry in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            match entry:
                case bytes():
                    path.write_bytes(entry)
                case ("link", target):
                    path.symlink_to(target)
                case ("fifo", _):
                    os.mkfifo(path)
                case ("folder", _):
                    path.mkdir()
                case ("zeros", size):
                    path.touch()
                    os.truncate(path, int(size))


@dataclass(frozen=True)
class Ending:
    """How a command ended: in a sentence, or with the input taken as valid, which is no fault."""

    sentence: str
    seconds: float
    fault: str = ""


class Accepted(KeyboardInterrupt):
    """The checks before training have passed; nothing catches it."""


class TooSlow(KeyboardInterrupt):
    """The command takes too long."""


def run_command(example: Example) -> Ending:
    """Run the command on an example whose files are in the current folder."""
    sys.argv = ["zeroinit", *example.words]
    return _run(example, cli.main)


def run_parts(example: Example, compose: Callable[[list[str]], object]) -> Ending:
    """Compose and check the job that the words describe, as the command does, but 10 times as fast."""

    def check() -> None:
        try:
            job = compose(example.words)
            check_jobs([job])
            cli.open_tracker(job, "zeroinit")
        except BadInput as error:
            cli.exit_with_bad_input(error)
        except Exception as error:
            if refused := composition.explain(error):
                cli.exit_with_bad_input(refused)
            raise

    sys.argv = ["zeroinit", *example.words]
    return _run(example, check)


def _run(example: Example, action: Callable[[], None]) -> Ending:
    for cached in (build_tracker.open_cached, folder.folder_fingerprint, build_data.data_hash):
        cached.cache_clear()
    if example.files:
        build_data.load_cached.cache_clear()
    environment, path = dict(os.environ), list(sys.path)
    code: object = 0
    fault = ""
    started = time.monotonic()
    with _captured() as text, _patched(), _limited():
        try:
            action()
        except Accepted:
            code = 0
        except SystemExit as end:
            code = end.code or 0
        except TooSlow:
            fault = f"it takes more than {MAX_SECONDS} s"
        except BaseException as error:
            lines = "".join(traceback.format_exception(error)[-3:]) if not isinstance(error, RecursionError) else ""
            fault = f"{type(error).__name__}: {str(error)[:300]}\n{lines[-1500:]}"
    seconds = time.monotonic() - started
    GlobalHydra.instance().clear()
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path
    lines = text().splitlines()
    sentence = lines[-1] if lines and code else ""
    if not fault and seconds > MAX_SECONDS:
        fault = f"it took {seconds:.0f} s"
    return Ending(sentence, seconds, fault or _find_fault(example, code, lines))


def _find_fault(example: Example, code: object, lines: list[str]) -> str:
    """Return what is wrong with the output; empty if nothing is."""
    noise = [line for line in lines if not NOTES.fullmatch(line)]
    if noise:
        return "there is more on stderr: " + " | ".join(noise[:30])
    if Path("mlruns/mlflow.db").exists() and "mlruns/mlflow.db" not in example.files:
        return "it made a store"
    if code == 0:
        return ""
    if code != 2:
        return f"exit code {code}: {lines[-1:]}"
    if not lines or len(lines[-1]) > MAX_CHARACTERS:
        return f"no sentence: {lines[-1:]}"
    mentions = [mention.encode(errors="backslashreplace").decode() for mention in example.mentions]
    if mentions and not any(" ".join(mention.split()) in lines[-1] for mention in mentions):
        return f"the sentence names nothing of {', '.join(mentions)}: {lines[-1]}"
    return ""


@contextmanager
def _captured() -> Iterator[Callable[[], str]]:
    """Capture what is written to stderr, by C libraries as well; drop stdout."""
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as dropped:
        saved = os.dup(1), os.dup(2)
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            os.dup2(dropped.fileno(), 1)
            os.dup2(file.fileno(), 2)
            streams = [io.TextIOWrapper(os.fdopen(os.dup(number), "wb", 0), write_through=True) for number in (1, 2)]
            for stream in streams:
                stream.reconfigure(errors="backslashreplace")
            with mock.patch("sys.stdout", streams[0]), mock.patch("sys.stderr", streams[1]):
                contents: list[str] = []
                yield lambda: contents[0]
            for stream in streams:
                stream.close()
        finally:
            for number, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            file.seek(0)
            contents.append(file.read().decode(errors="replace"))


@contextmanager
def _patched() -> Iterator[None]:
    """Stop where the store would be opened, and keep off the network; the mode of Hydra is read only once."""
    real_mode, real_tracker = Hydra.get_mode, build.open_tracker

    def open_tracker(job, sweep):  # type: ignore[no-untyped-def]
        if "tracker.uri" not in " ".join(sys.argv):
            raise Accepted
        tracker = real_tracker(job, sweep)
        from zeroinit.sweep.resume import find_finished

        find_finished([job], tracker)
        raise Accepted

    def get_mode(self, config_name, overrides):  # type: ignore[no-untyped-def]
        unset = config_name == "config" and not any("hydra.mode" in override for override in overrides)
        return None if unset else real_mode(self, config_name, overrides)

    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    with (
        mock.patch.object(cli, "open_tracker", open_tracker),
        mock.patch.object(grid, "open_tracker", open_tracker),
        mock.patch.object(Hydra, "get_mode", get_mode),
        mock.patch.object(urllib.request, "urlopen", no_network),
    ):
        yield


@contextmanager
def _limited() -> Iterator[None]:
    """Raise TooSlow after the time; what else uses the timer gets it back."""

    def stop(*args: object) -> None:
        raise TooSlow

    handler, (left, _) = signal.signal(signal.SIGALRM, stop), signal.getitimer(signal.ITIMER_REAL)
    started = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            with suppress(ValueError):
                signal.setitimer(signal.ITIMER_REAL, max(left - time.monotonic() + started, 0.1))
