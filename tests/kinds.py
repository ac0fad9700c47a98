"""CPU seconds of tests and fixtures, at the end of a run with `--kinds`: docs/testing.md.

Wall-clock time tells what else the machine was doing; CPU seconds do not. They are those
of the process that ran the test and of the ended processes that it started.
"""

import json
import os
import re
from collections import defaultdict
from pathlib import Path

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
# Lines of the two lists at the end of a run.
NUM_SHOWN = 40
# A report carries these properties of its item from the process that ran it.
_PHASES = "cpu_seconds"
_FIXTURES = "cpu_seconds_of_fixtures"


def kind_of(nodeid: str) -> str:
    """Returns what kind of proof a test is."""
    return next(kind for kind, pattern in KINDS if re.search(pattern, nodeid))


def _cpu_seconds() -> float:
    """Returns what this process and the ended ones that it started have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _property(item, name) -> dict:
    """Returns a dictionary that the reports of an item carry, made on first use."""
    for known, value in item.user_properties:
        if known == name:
            return value
    item.user_properties.append((name, value := {}))
    return value


def pytest_addoption(parser):
    parser.addoption(
        "--kinds", action="store_true", help="CPU seconds by kind, of tests and of fixtures"
    )
    parser.addoption("--kinds-json", metavar="FILE", help="the same of each test, as JSON")


def _timed(phase):
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def hook(item):
        started = _cpu_seconds()
        try:
            return (yield)
        finally:
            _property(item, _PHASES)[phase] = round(_cpu_seconds() - started, 2)

    return hook


pytest_runtest_setup = _timed("setup")
pytest_runtest_call = _timed("call")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item, nextitem):
    started = _cpu_seconds()
    try:
        return (yield)
    finally:
        _property(item, _PHASES)["teardown"] = round(_cpu_seconds() - started, 2)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef, request):
    started = _cpu_seconds()
    try:
        return (yield)
    finally:
        used = round(_cpu_seconds() - started, 2)
        # Those of a wider scope do not know the test that asked for them first.
        if used > 0 and (item := getattr(request, "_pyfuncitem", None)) is not None:
            place = fixturedef.baseid.split("::")[0] or "tests"
            _property(item, _FIXTURES)[f"{place}::{fixturedef.argname}"] = used


def pytest_terminal_summary(terminalreporter):
    options = terminalreporter.config.option
    if not (options.kinds or options.kinds_json):
        return
    tests, fixtures = {}, defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            properties = dict(getattr(report, "user_properties", ()))
            if _PHASES in properties and report.when == "teardown":
                tests[report.nodeid] = properties[_PHASES]
                for name, used in properties.get(_FIXTURES, {}).items():
                    fixtures[name] += used
    if options.kinds_json:
        Path(options.kinds_json).parent.mkdir(parents=True, exist_ok=True)
        Path(options.kinds_json).write_text(
            json.dumps({"tests": tests, "fixtures": fixtures}, indent=1)
        )
    if options.kinds:
        _show(terminalreporter, tests, fixtures)


def _show(terminalreporter, tests, fixtures):
    totals = {nodeid: sum(phases.values()) for nodeid, phases in tests.items()}
    write = terminalreporter.write_line
    terminalreporter.section("CPU seconds by kind of test")
    for kind, _ in KINDS:
        used = [seconds for nodeid, seconds in totals.items() if kind_of(nodeid) == kind]
        if used:
            write(f"{kind:<10}{len(used):>6} tests{sum(used):>9.1f} s")
    write(f"{'all':<10}{len(totals):>6} tests{sum(totals.values()):>9.1f} s")
    for title, seconds in (("tests, with their fixtures", totals), ("fixtures", fixtures)):
        terminalreporter.section(f"CPU seconds of {title}")
        for name in sorted(seconds, key=seconds.get, reverse=True)[:NUM_SHOWN]:
            write(f"{seconds[name]:>8.1f} s  {name}")
