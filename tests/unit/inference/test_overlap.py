"""Stages in threads: order, memory, and no way to hang."""

import contextlib
import threading
import time

import numpy as np
import pytest

from keras_pose.inference.overlap import DEPTH, one_by_one, overlapped

RUNS = pytest.mark.parametrize("run", [overlapped, one_by_one])


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@RUNS
def test_items_come_in_order_through_all_stages(run):
    seconds: dict = {}
    stages = {"double": lambda x: 2 * x, "pack": lambda x: np.array([x, x])}

    results = list(run(range(50), stages, seconds))

    np.testing.assert_array_equal(results, [[2 * i, 2 * i] for i in range(50)])
    assert set(seconds) == {"decode", "double", "pack"}


def test_stages_work_at_the_same_time():
    def slow(x):
        time.sleep(0.01)  # lets go of Python's lock, as OpenCV and runtimes do
        return x

    seconds: dict = {}
    started = time.perf_counter()
    list(overlapped(map(slow, range(30)), {"a": slow, "b": slow}, seconds))
    took = time.perf_counter() - started

    assert sum(seconds.values()) >= 0.9
    assert took < 0.75 * sum(seconds.values())


def test_no_more_than_a_few_items_are_under_way():
    read = []
    source = (read.append(i) or i for i in range(1000))
    with contextlib.closing(overlapped(source, {"a": abs}, {})) as results:
        next(results)
        time.sleep(0.1)
        # Two queues, one item in each hand.
        assert len(read) <= 2 * DEPTH + 4


def raises_at(n, error):
    def stage(x):
        if x == n:
            raise error
        return x

    return stage


@RUNS
@pytest.mark.parametrize("failing", ["source", "first", "last"])
@pytest.mark.parametrize("at", [0, 3, 40])
def test_an_error_of_any_stage_arrives_and_everything_stops(run, failing, at):
    fail = raises_at(at, OSError("broken"))
    source = map(fail, range(100)) if failing == "source" else range(100)
    stages = {
        "first": fail if failing == "first" else abs,
        "last": fail if failing == "last" else abs,
    }
    with pytest.raises(OSError, match="broken"):
        list(run(source, stages, {}))


@RUNS
def test_whoever_stops_taking_stops_everything(run):
    is_closed = []

    def source():
        try:
            yield from range(10**9)
        finally:
            is_closed.append(True)

    with contextlib.closing(run(source(), {"a": abs, "b": abs}, {})) as results:
        assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert is_closed == [True]


@RUNS
def test_an_error_of_the_taker_stops_everything(run):
    with (
        pytest.raises(KeyError, match="1"),
        contextlib.closing(run(range(10**9), {"a": abs}, {})) as results,
    ):
        {0: "known"}[max(next(results), next(results))]


@RUNS
def test_nothing_in_is_nothing_out(run):
    assert list(run([], {"a": abs}, {})) == []
