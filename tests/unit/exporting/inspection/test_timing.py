import numpy as np
import pytest
from says import Says

from keras_pose.exporting.inspection import timing
from keras_pose.exporting.inspection.timing import (
    MIN_RUNS,
    NUM_WARMUP_RUNS,
    TimedCase,
    Timing,
    align,
    cases_of,
    make_call,
    ratios,
    time_interleaved,
    timings_of,
)
from keras_pose.runtime import openvino_backend


def test_calls_take_turns():
    order = []
    calls = [lambda: order.append("a"), lambda: order.append("b")]

    samples = time_interleaved(calls, num_runs=3)

    assert samples.shape == (2, 3)
    assert (samples >= 0).all()
    assert "".join(order[2 * NUM_WARMUP_RUNS :]) == "ababab"


def test_slow_calls_get_fewer_runs(monkeypatch):
    monkeypatch.setattr(timing, "MAX_SECONDS", 0.0)
    monkeypatch.setattr(timing, "SLOW_SECONDS", 0.0)
    runs = []

    samples = time_interleaved([lambda: runs.append(1)], num_runs=10)

    assert np.isfinite(samples[0]).tolist() == [True] * MIN_RUNS + [False] * 7
    assert len(runs) == 1 + MIN_RUNS
    (found,) = timings_of([TimedCase("a.tflite", 1, "litert")], samples)
    assert len(found.milliseconds) == MIN_RUNS
    assert found.median > 0


def test_every_file_is_timed_at_every_thread_count(exported):
    paths = [exported.paths[kind] for kind in ("int8", "onnx", ".keras")]
    cases = cases_of(paths, thread_counts=(1, 2), num_runs=2)
    usual = ((paths[0], "litert"), (paths[1], "onnxruntime"))
    expected = [(path, count, runtime) for path, runtime in usual for count in (1, 2)]
    assert cases == [*expected, (paths[2], None, "keras")]


def test_each_runtime_gets_the_files_that_it_runs(exported, monkeypatch):
    monkeypatch.setattr(openvino_backend, "saturates", lambda: False)
    paths = [exported.paths[kind] for kind in ("int8", "onnx")]
    cases = cases_of(paths, (1,), 2, ("litert", "openvino"))
    assert [(case.path, case.runtime) for case in cases] == [
        (paths[0], "litert"),
        (paths[0], "openvino"),
        (paths[1], "openvino"),
    ]
    with Says(
        "is run by onnxruntime or openvino, by none of the runtimes litert",
        do="Add a runtime that runs the file, or leave --runtimes out.",
    ).refuses():
        cases_of(paths, (1,), 2, ("litert",))


def test_sums_that_would_be_cut_off_are_not_timed(exported, monkeypatch):
    monkeypatch.setattr(openvino_backend, "saturates", lambda: True)
    paths = [exported.paths[kind] for kind in ("float32", "int8")]
    with Says(
        "Not timed in openvino: ...int8.tflite has integer weights that fill 8 bits",
        do="Time the int8 .onnx file instead.",
    ).warns():
        cases = cases_of(paths, (1,), 2, ("litert", "openvino"))
    ways = [(case.path, case.runtime) for case in cases]
    assert ways == [(paths[0], "litert"), (paths[0], "openvino"), (paths[1], "litert")]


def test_time_is_taken_by_the_clock_that_is_asked_for():
    ticks = iter(range(100))
    samples = time_interleaved([int], num_runs=2, clock=lambda: next(ticks))
    assert samples.tolist() == [[1000.0, 1000.0]]


@pytest.mark.parametrize("kind", ["int8", "onnx", ".keras"])
def test_a_call_runs_a_file_once(exported, kind):
    output = make_call(exported.paths[kind], 1)()
    (values,) = output.values() if isinstance(output, dict) else [output]
    assert values.shape == (1, 8, 6, 3)


def test_medians_spreads_and_ratios(tmp_path):
    timings = [
        Timing(TimedCase(tmp_path, 1, "litert"), np.array([1.0, 2, 3, 4, 100])),
        Timing(TimedCase(tmp_path, 1, "openvino"), np.array([6.0, 6, 6])),
        Timing(TimedCase(tmp_path, 2, "litert"), np.array([6.0, 6, 6])),
    ]
    assert [timing.median for timing in timings] == [3, 6, 6]
    assert [timing.spread for timing in timings] == [1, 0, 0]
    assert ratios(timings) == [1, 2, 1]


def test_words_stand_left_and_numbers_right():
    assert align([("file", "ms"), ("a", "12.5")]) == "file    ms\na     12.5"


def test_no_runs_are_refused(exported):
    with pytest.raises(ValueError, match="num_runs must be at least 1, got 0"):
        cases_of([exported.paths["int8"]], (1,), num_runs=0)
