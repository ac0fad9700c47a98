"""Work that overlaps: each stage in a thread of its own, short queues between them.

OpenCV and the runtimes let go of Python's lock while they work, so decoding, networks,
drawing and encoding do run at the same time.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, MutableMapping
from typing import Any

# Function of a stage: its result is the item of the next one.
Stages = MutableMapping[str, Callable[[Any], Any]]
Seconds = MutableMapping[str, float]

# Items between two stages: enough to even out slow ones, little enough for memory.
DEPTH = 4
_END = object()


def network_threads() -> int:
    """Returns how many threads a network should have while other stages work beside it.

    One core is left to them. A network that takes all stands in their way: on two cores
    `training/video_speed.py` saw no gain from overlapping then.
    """
    return max(1, (os.cpu_count() or 1) - 1)


class _StoppedError(Exception):
    """Somebody else failed or went away: stop, without a word."""


class _Queue:
    """A queue of bounded length that can be shut, which wakes all waiting threads."""

    def __init__(self, depth: int):
        self._items: deque = deque()
        self._depth = depth
        self._is_shut = False
        self._changed = threading.Condition()

    def put(self, item) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_shut or len(self._items) < self._depth)
            if self._is_shut:
                raise _StoppedError
            self._items.append(item)
            self._changed.notify_all()

    def get(self):
        with self._changed:
            self._changed.wait_for(lambda: self._is_shut or self._items)
            if self._is_shut:
                raise _StoppedError
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def shut(self) -> None:
        with self._changed:
            self._is_shut = True
            self._items.clear()
            self._changed.notify_all()


def overlapped(
    items: Iterable, stages: Stages, seconds: Seconds, first: str = "decode"
) -> Generator:
    """Sends items through the stages, in order, while the stages work side by side.

    Use it in `contextlib.closing`: closing stops all threads. The error of a stage (or
    of the source) is raised here, after everything has stopped.

    Args:
        items: the source, read in a thread of its own.
        stages: functions by name; what the last one returns is yielded.
        seconds: gets the time that each stage worked, waiting not counted.
        first: name of the source's time in `seconds`.
    """
    queues = [_Queue(DEPTH) for _ in range(len(stages) + 1)]
    errors: list[BaseException] = []

    def run(work, *arguments):
        try:
            work(*arguments)
        except _StoppedError:
            pass
        except BaseException as error:  # raised again where somebody can hear it
            errors.append(error)
            for queue in queues:
                queue.shut()

    tasks: list[tuple] = [(_read, items, queues[0], seconds, first)]
    for (name, stage), source, target in zip(
        stages.items(), queues, queues[1:], strict=False
    ):
        tasks.append((_work, stage, source, target, seconds, name))
    threads = [threading.Thread(target=run, args=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        while (item := queues[-1].get()) is not _END:
            yield item
    except _StoppedError:
        pass
    finally:
        for queue in queues:
            queue.shut()
        for thread in threads:
            # Not for ever: a camera may never answer. (The thread ends with the program.)
            thread.join(timeout=5)
    if errors:
        raise errors[0]


def _read(items, target, seconds, name):
    iterator = iter(items)
    try:
        while True:
            item = timed(seconds, name, next, iterator, _END)
            target.put(item)
            if item is _END:
                return
    finally:
        # By the thread that reads: a source must not be closed while it is read.
        getattr(iterator, "close", lambda: None)()


def _work(stage, source, target, seconds, name):
    while (item := source.get()) is not _END:
        target.put(timed(seconds, name, stage, item))
    target.put(_END)


def one_by_one(
    items: Iterable, stages: Stages, seconds: Seconds, first: str = "decode"
) -> Generator:
    """Does what `overlapped` does, without threads: one stage at a time."""
    iterator = iter(items)
    try:
        while (item := timed(seconds, first, next, iterator, _END)) is not _END:
            for name, stage in stages.items():
                item = timed(seconds, name, stage, item)
            yield item
    finally:
        getattr(iterator, "close", lambda: None)()


def timed(seconds: Seconds, name: str, work: Callable, *arguments):
    """Calls `work` and adds the time to `seconds[name]`."""
    started = time.perf_counter()
    try:
        return work(*arguments)
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
