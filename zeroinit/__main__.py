"""The command `zeroinit`, which an interruption ends in one line even while torch is still being imported."""

import atexit
import os
import signal
import sys
import threading
from types import ModuleType
from typing import NoReturn

import zeroinit.garbage  # noqa: F401
from zeroinit.errors import BadInput
from zeroinit.kernels import pin_kernels
from zeroinit.signals import interrupt_for_certain
from zeroinit.sweep.pool import cores, end_server, start_server


def main() -> None:
    """Run the command; an interruption, by Ctrl-C or a scheduler's SIGTERM, is exit code 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    interrupt_for_certain()
    try:
        if {"-sc", "--shell-completion"} & set(sys.argv):
            complete()
        else:
            imported().main()
    except KeyboardInterrupt:
        sys.stderr.write("zeroinit: interrupted\n")
        sys.exit(130)


def command() -> NoReturn:
    """Run the command as a process of its own, and end it without freeing each object first, which takes 2 s."""
    code: object = 0
    words = set(sys.argv)
    is_sweep = {"-m", "--multirun", "-cn", "--config-name"} & words and "hydra.launcher.workers=1" not in words
    try:
        pin_kernels()  # before this process or the server of the workers imports torch
        if cores() > 1 and is_sweep:
            start_server()
        main()
    except BadInput as error:
        sys.stderr.write(f"zeroinit: {error}\n")
        code = 2
    except SystemExit as end:
        code = end.code
    except BrokenPipeError:  # nobody reads any more, as after `| head`
        code = 1
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is kept by now
    if isinstance(code, str):  # as Python does with such an end
        sys.stderr.write(f"{code}\n")
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()  # which ends the workers
    end_server()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 1
    os._exit(code if isinstance(code, int) else int(code is not None))


def imported() -> ModuleType:
    """zeroinit.cli; a terminal is told of the seconds that this takes."""
    shown = sys.stderr.isatty()
    if shown:
        sys.stderr.write("zeroinit: starting\r")
        sys.stderr.flush()
    from zeroinit import cli

    if shown:
        sys.stderr.write("\033[K")  # of which nothing stays
        sys.stderr.flush()
    return cli


def complete() -> None:
    """Hydra's completion of what is typed, without the seconds that importing torch takes."""
    import hydra

    from zeroinit import CONF

    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(lambda cfg: None)()


if __name__ == "__main__":
    command()
