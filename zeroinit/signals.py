"""Delays interruptions during a write, and never loses one."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

RETRY_SECONDS = 0.05  # until an interruption that was lost is raised once more


@contextmanager
def hold_signals() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the block has ended; a second signal of the same kind does not wait."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if number in held:
            raise KeyboardInterrupt
        held.append(number)

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt


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
