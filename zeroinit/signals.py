"""Ends the command soon after Ctrl-C or SIGTERM, whatever it does. All that is finished is on the disk by then."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

RETRY_SECONDS = 0.05  # until an interruption that was lost is raised once more
GRACE_SECONDS = 2.5  # from an interruption to the end of the process, at most
INTERRUPTED = 130  # exit code, as of a shell
MESSAGE = b"zeroinit: interrupted; what is finished is kept, and the same command goes on\n"

_is_announced = threading.Event()


def never_lose_interruptions() -> None:
    """Raise an interruption again if it came during a finaliser or a callback of the garbage collector.

    Python prints what is raised there, and goes on. A collection takes up to a second here, so a signal often comes
    during one.
    """
    usual = sys.unraisablehook

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            main = threading.main_thread().ident
            threading.Timer(RETRY_SECONDS, signal.pthread_kill, (main, signal.SIGINT)).start()
        else:
            usual(lost)

    sys.unraisablehook = hook


def announce_interruption() -> None:
    """Write that the command was interrupted."""
    _is_announced.set()
    os.write(2, MESSAGE)  # which no lock of another thread delays


def end_soon_after_interruption(clean_up: Callable[[], None]) -> None:
    """End the process GRACE_SECONDS after Ctrl-C or SIGTERM if it has not ended by itself.

    Python raises KeyboardInterrupt between two of its own instructions alone; a database or a server may keep the
    process in other code for minutes. The workers end with this process.

    Args:
        clean_up: Is called before the end.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)  # the system's own handler writes to it, at once
    threading.Thread(target=_end_after_interruption, args=(clean_up, receiver, sender), daemon=True).start()


def _end_after_interruption(clean_up: Callable[[], None], receiver: socket.socket, sender: socket.socket) -> None:
    """Wait for an interruption; the sender is an argument so that it stays open."""
    while receiver.recv(1)[0] not in (signal.SIGINT, signal.SIGTERM):
        pass
    time.sleep(GRACE_SECONDS)
    if not _is_announced.is_set():
        announce_interruption()
    clean_up()
    os._exit(INTERRUPTED)
