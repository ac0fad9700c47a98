"""Messages about the demo's steps: what comes, how long it takes, how long it took."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator


def describe_seconds(seconds: float) -> str:
    """Returns such as "0.4 s", "12 s" or "2 min 5 s"."""
    if seconds < 9.5:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Steps:
    """Numbers and times the steps of a program, and prints both."""

    def __init__(self, titles: list[str]):
        self._titles = titles
        self._taken: list[tuple[str, float, float]] = []

    def announce(self) -> None:
        """Prints what will happen."""
        for number, title in enumerate(self._titles, start=1):
            print(f"  {number}. {title}")

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Prints the title of the next step, and times the block."""
        number = len(self._taken)
        title = self._titles[number]
        print(f"\n== {number + 1} of {len(self._titles)}: {title}", flush=True)
        started, cpu_started = time.perf_counter(), _cpu_seconds()
        yield
        seconds = time.perf_counter() - started
        self._taken.append((title, seconds, _cpu_seconds() - cpu_started))
        print(f"-- done in {describe_seconds(seconds)}", flush=True)

    def table(self) -> str:
        """Returns a line for each step done: wall time, and processor time."""
        rows = [*self._taken, ("together", *self.total)]
        width = max(len(title) for title, *_ in rows)
        return "\n".join(
            f"{title.ljust(width)}  {describe_seconds(wall):>10}"
            f"  (processor {describe_seconds(cpu)})"
            for title, wall, cpu in rows
        )

    @property
    def total(self) -> tuple[float, float]:
        """Wall and processor seconds of all steps done."""
        return sum(row[1] for row in self._taken), sum(row[2] for row in self._taken)


def _cpu_seconds() -> float:
    """Returns processor seconds of this process and of the ended ones it started."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
