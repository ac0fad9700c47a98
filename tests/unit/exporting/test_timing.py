import numpy as np
import pytest

from keras_pose.exporting.timing import (
    NUM_WARMUP_RUNS,
    Timing,
    time_files,
    time_interleaved,
    timing_table,
)


def test_calls_take_turns():
    order = []
    calls = [lambda: order.append("a"), lambda: order.append("b")]

    samples = time_interleaved(calls, num_runs=3)

    assert samples.shape == (2, 3)
    assert (samples >= 0).all()
    assert "".join(order[2 * NUM_WARMUP_RUNS :]) == "ababab"


def test_every_file_is_timed_at_every_thread_count(exported):
    paths = [exported.paths[kind] for kind in ("int8", "onnx", ".keras")]

    timings = time_files(paths, thread_counts=(1, 2), num_runs=2)

    cases = [(timing.path, timing.num_threads) for timing in timings]
    assert cases == [(p, n) for p in paths[:2] for n in (1, 2)] + [(paths[2], None)]


def test_table_gives_medians_spreads_and_ratios(tmp_path):
    first, second = tmp_path / "a.tflite", tmp_path / "b.tflite"
    first.write_bytes(bytes(1_500_000))
    second.touch()
    timings = [
        Timing(first, 1, np.array([1.0, 2, 3, 4, 100])),
        Timing(second, 1, np.array([6.0, 6, 6])),
    ]

    header, *rows = timing_table(timings).splitlines()

    assert header.split() == ["file", "MB", "threads", "ms", "+-", "ratio"]
    assert rows[0].split() == [str(first), "1.50", "1", "3.00", "1.00", "1.00"]
    assert rows[1].split() == [str(second), "0.00", "1", "6.00", "0.00", "2.00"]


def test_no_runs_are_refused(exported):
    with pytest.raises(ValueError, match="num_runs must be at least 1, got 0"):
        time_files([exported.paths["int8"]], num_runs=0)
