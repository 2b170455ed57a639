"""The command `zeroinit`: an interruption ends it in one line, even while torch is being imported."""

import atexit
import os
import platform
import signal
import sys
import threading
from importlib.metadata import version
from types import ModuleType
from typing import NoReturn

import zeroinit.garbage  # noqa: F401
from zeroinit import CONF
from zeroinit.errors import BadInput
from zeroinit.kernels import pin_kernels
from zeroinit.signals import (
    INTERRUPTED,
    announce_interruption,
    end_soon_after_interruption,
    never_lose_interruptions,
)
from zeroinit.sweep.pool import count_cores, end_server, start_server


def main() -> None:
    """Run the command; an interruption by Ctrl-C or SIGTERM gives exit code 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    never_lose_interruptions()
    try:
        if {"-sc", "--shell-completion"} & set(sys.argv):
            _complete()
        elif sys.argv[1:] == ["--version"]:
            print(_describe_versions())
        elif sys.argv[1:2] == ["list"]:
            from zeroinit import list_sweeps

            sys.exit(list_sweeps.main(sys.argv[2:]))
        elif sys.argv[1:2] == ["sync"]:
            from zeroinit import sync  # MLflow takes seconds to import

            sys.exit(sync.main(sys.argv[2:]))
        elif sys.argv[1:2] == ["ui"]:
            from zeroinit import ui  # MLflow takes seconds to import

            sys.exit(ui.main(sys.argv[2:]))
        else:
            import_cli().main()
    except KeyboardInterrupt:
        announce_interruption()
        sys.exit(INTERRUPTED)


def command() -> NoReturn:
    """Run the command in this process, and end it without freeing each object first, which would take 2 s."""
    code: object = 0
    argv = set(sys.argv)
    is_sweep = {"-m", "--multirun", "-cn", "--config-name"} & argv and "hydra.launcher.workers=1" not in argv
    try:
        if sys.argv[1:2] != ["ui"]:  # which waits for its server to end
            end_soon_after_interruption(end_server)
        pin_kernels()  # before this process or the server of the workers imports torch
        if count_cores() > 1 and is_sweep:
            start_server()
        main()
    except BadInput as error:
        sys.stderr.write(f"zeroinit: {error}\n")
        code = error.exit_code
    except SystemExit as end:
        code = end.code
    except BrokenPipeError:  # the reader is gone, as after `| head`
        code = 1
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is stored by now
    if isinstance(code, str):  # as Python does
        sys.stderr.write(f"{code}\n")
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()  # this ends the workers
    end_server()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 1
    os._exit(code if isinstance(code, int) else int(code is not None))


def import_cli() -> ModuleType:
    """Import zeroinit.cli, which takes seconds, and show that on a terminal."""
    is_terminal = sys.stderr.isatty()
    if is_terminal:
        sys.stderr.write("zeroinit: starting\r")
        sys.stderr.flush()
    from zeroinit import cli  # it imports torch; an interruption before must end in one line, too

    if is_terminal:
        sys.stderr.write("\033[K")  # erases the line
        sys.stderr.flush()
    return cli


def _describe_versions() -> str:
    """Return the version of zeroinit, and those of the packages that decide a result."""
    others = ", ".join(f"{name} {version(name)}" for name in ("torch", "mlflow", "hydra-core"))
    return f"zeroinit {version('zeroinit')} (Python {platform.python_version()}, {others})"


def _complete() -> None:
    """Have Hydra complete what is typed, without the seconds that importing torch takes."""
    import hydra  # here alone: the other commands import it while `starting` is shown

    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(lambda cfg: None)()


if __name__ == "__main__":
    command()
