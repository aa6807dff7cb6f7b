"""A limit on the time of a check: a wrong line must not hang a notebook.

In the main thread a signal ends the check, after so much processor time. Elsewhere, and where there are no
such signals, a second thread raises the error in the one that checks.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTime(BaseException):
    """The time is over."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OutOfTime in the block after so many seconds; a limit around it holds too."""
    main = threading.current_thread() is threading.main_thread()
    if main and hasattr(signal, "setitimer"):
        yield from _by_signal(seconds)
    else:
        yield from _by_thread(seconds)


def _by_signal(seconds: float) -> Iterator[None]:
    def over(number, frame) -> None:
        raise OutOfTime

    left, _ = signal.getitimer(signal.ITIMER_VIRTUAL)
    before = signal.signal(signal.SIGVTALRM, over)
    # once more each half second: a bare `except:` on the way may swallow the first
    signal.setitimer(signal.ITIMER_VIRTUAL, min(seconds, left) if left else seconds, 0.5)
    try:
        yield
    finally:
        rest, _ = signal.getitimer(signal.ITIMER_VIRTUAL)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_VIRTUAL, max(left - (seconds - rest), 0.01), 0.5)


def _by_thread(seconds: float) -> Iterator[None]:
    me, done = threading.get_ident(), threading.Event()

    def watch() -> None:
        pause = seconds
        while not done.wait(pause):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(me), ctypes.py_object(OutOfTime))
            pause = 0.5

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(me), None)
