import numpy as np
import pytest

from keras_pose.exporting.inspection import timing
from keras_pose.exporting.inspection.timing import (
    MIN_RUNS,
    NUM_WARMUP_RUNS,
    Timing,
    align,
    cases_of,
    make_call,
    ratios,
    time_interleaved,
    timings_of,
)


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
    (found,) = timings_of([("a.tflite", 1)], samples)
    assert len(found.milliseconds) == MIN_RUNS
    assert found.median > 0


def test_every_file_is_timed_at_every_thread_count(exported):
    paths = [exported.paths[kind] for kind in ("int8", "onnx", ".keras")]
    cases = cases_of(paths, thread_counts=(1, 2), num_runs=2)
    assert cases == [(p, n) for p in paths[:2] for n in (1, 2)] + [(paths[2], None)]


@pytest.mark.parametrize("kind", ["int8", "onnx", ".keras"])
def test_a_call_runs_a_file_once(exported, kind):
    output = make_call(exported.paths[kind], 1)()
    (values,) = output.values() if isinstance(output, dict) else [output]
    assert values.shape == (1, 8, 6, 3)


def test_medians_spreads_and_ratios(tmp_path):
    timings = [
        Timing(tmp_path, 1, np.array([1.0, 2, 3, 4, 100])),
        Timing(tmp_path, 1, np.array([6.0, 6, 6])),
        Timing(tmp_path, 2, np.array([6.0, 6, 6])),
    ]
    assert [timing.median for timing in timings] == [3, 6, 6]
    assert [timing.spread for timing in timings] == [1, 0, 0]
    assert ratios(timings) == [1, 2, 1]


def test_words_stand_left_and_numbers_right():
    assert align([("file", "ms"), ("a", "12.5")]) == "file    ms\na     12.5"


def test_no_runs_are_refused(exported):
    with pytest.raises(ValueError, match="num_runs must be at least 1, got 0"):
        cases_of([exported.paths["int8"]], (1,), num_runs=0)
