"""A limit on the time of a check: a wrong line must not hang a notebook.

In the main thread a signal ends the check, after so much processor time. Elsewhere, and where there are no
such signals, a second thread raises the error in the one that checks. In a browser, where there are neither,
the calls of functions are watched, and one of them looks at the clock now and then.
"""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTime(BaseException):
    """The time is over."""


SLOWER = 4  # times as long as elsewhere do the same sums take in WebAssembly


def processor_time() -> float:
    """Seconds of processor time, for differences.

    In a browser it is a share of the time that passed, as much as the same sums take elsewhere: the processor
    time there is a number of 32 bits, which ends after 36 minutes.
    """
    return time.perf_counter() / SLOWER if sys.platform == "emscripten" else time.process_time()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OutOfTime in the block after so many seconds; a limit around it holds too."""
    if sys.platform == "emscripten":
        yield from _by_calls(seconds)
        return
    main = threading.current_thread() is threading.main_thread()
    if main and hasattr(signal, "setitimer"):
        yield from _by_signal(seconds)
    else:
        yield from _by_thread(seconds)


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for garbage in the block: formulas hold no circles, and the search takes its time."""
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()


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


EVERY = 512  # calls between two looks at the clock
_deadlines: list[float] = []  # of the blocks that are open, one in another


def _by_calls(seconds: float) -> Iterator[None]:
    """sys.monitoring: Python 3.12 and newer; its events cost a few per cent."""
    watch = sys.monitoring
    tool, event, calls = watch.PROFILER_ID, watch.events.PY_START, 0

    def called(code, offset) -> None:
        nonlocal calls
        calls += 1
        if calls % EVERY == 0 and processor_time() > min(_deadlines, default=float("inf")):
            raise OutOfTime

    _deadlines.append(processor_time() + seconds)
    outer = watch.get_tool(tool) is not None
    if not outer:
        watch.use_tool_id(tool, "lowerbound")
        watch.register_callback(tool, event, called)
        watch.set_events(tool, event)
    try:
        yield
    finally:
        _deadlines.pop()
        if not outer:
            watch.set_events(tool, 0)
            watch.register_callback(tool, event, None)
            watch.free_tool_id(tool)
