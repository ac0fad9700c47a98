"""CPU seconds by what tests prove, at the end of a run with `--kinds`: docs/testing.md."""

import os
import re
from collections import defaultdict

import pytest

# The first whose pattern is found in a test's path and name.
KINDS = (
    ("apps", r"^tests/mobile/"),
    ("parity", r"^tests/parity/"),
    ("kill", r"interrupted|resume"),
    ("fuzz", r"fuzz|hostile"),
    ("zoo", r"test_zoo_models|of_a_family"),
    ("training", r"trainer/test_|test_learning"),
    ("exports", r"^tests/unit/exporting/|test_export"),
    ("programs", r"^tests/integration/|^tests/scripts/"),
    ("unit", ""),
)
_STARTED = pytest.StashKey[float]()
_USED = "cpu_seconds"


def kind_of(nodeid: str) -> str:
    """Returns what kind of proof a test is."""
    return next(kind for kind, pattern in KINDS if re.search(pattern, nodeid))


def _cpu_seconds() -> float:
    """Returns what this process and the ended ones that it started have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def pytest_addoption(parser):
    parser.addoption("--kinds", action="store_true", help="CPU seconds by kind of test")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    item.stash[_STARTED] = _cpu_seconds()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item, call):
    # A report carries the item's properties from the process that ran it.
    if call.when == "teardown" and _STARTED in item.stash:
        item.user_properties.append((_USED, _cpu_seconds() - item.stash[_STARTED]))


def pytest_terminal_summary(terminalreporter):
    if not terminalreporter.config.option.kinds:
        return
    seconds, counts = defaultdict(float), defaultdict(int)
    slowest = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            used = dict(getattr(report, "user_properties", ())).get(_USED)
            if used is not None and report.when == "teardown":
                kind = kind_of(report.nodeid)
                seconds[kind] += used
                counts[kind] += 1
                slowest.append((used, report.nodeid))
    write = terminalreporter.write_line
    terminalreporter.section("CPU seconds by kind of test")
    for kind, _ in KINDS:
        if counts[kind]:
            write(f"{kind:<10}{counts[kind]:>6} tests{seconds[kind]:>9.1f} s")
    write(f"{'all':<10}{sum(counts.values()):>6} tests{sum(seconds.values()):>9.1f} s")
    for used, nodeid in sorted(slowest, reverse=True)[:20]:
        write(f"{used:>8.1f} s  {nodeid}")
