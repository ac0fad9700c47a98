import csv
import json

import numpy as np
import pytest

from keras_pose.exporting.inspection.benchmark import (
    benchmark_files,
    benchmark_table,
    check_output,
    write_benchmark,
)
from keras_pose.exporting.inspection.costs import measure_costs
from keras_pose.exporting.inspection.peak_rates import MACS, PeakCall, peak_rates
from keras_pose.exporting.inspection.profiling import groups_to_time, profile_file
from keras_pose.modelfiles.graph import count_graph_macs
from keras_pose.modelfiles.reading import read_graph


@pytest.fixture(scope="module")
def benchmark(exported):
    paths = [exported.paths[kind] for kind in ("int8", "onnx", ".keras")]
    return benchmark_files(paths, thread_counts=(1,), num_runs=2, profiles=True)


@pytest.mark.slow
def test_rates_are_shares_of_the_peak_of_their_type(exported, benchmark):
    int8, onnx, keras = benchmark.rows
    for row, peak in ((int8, "int8 x 1 threads"), (onnx, "float32 x 1 threads")):
        assert row.macs == count_graph_macs(read_graph(row.file))
        assert row.rate == pytest.approx(row.macs / row.milliseconds * 1e3)
        assert row.peak_share == pytest.approx(row.rate / benchmark.peaks[peak])
    assert (keras.num_threads, keras.rate) == (None, None)
    assert all(row.load_milliseconds > 0 for row in benchmark.rows)


@pytest.mark.slow
def test_tables_and_files_hold_every_row(exported, benchmark, tmp_path):
    text = benchmark_table(benchmark)
    assert text.splitlines()[0].split()[:4] == ["file", "runtime", "MB", "threads"]
    assert "ms operator by operator" in text

    values = json.loads(write_benchmark(tmp_path / "b.json", benchmark).read_text())
    with write_benchmark(tmp_path / "b.csv", benchmark).open() as file:
        rows = list(csv.DictReader(file))

    expected = [str(exported.paths[kind]) for kind in ("int8", "onnx", ".keras")]
    assert [row["file"] for row in values["rows"]] == expected
    assert [row["file"] for row in rows] == expected
    assert list(values["profiles"]) == expected[:2]


def test_figures_go_into_known_files_only(tmp_path):
    with pytest.raises(ValueError, match=r"written as \.json or \.csv, got .*b\.txt"):
        check_output(tmp_path / "b.txt")


@pytest.mark.parametrize("kind", ["float32", "float16", "int8", "onnx"])
def test_a_profile_holds_all_work_of_a_file(exported, kind):
    path = exported.paths[kind]
    times = profile_file(path, num_runs=2)
    assert sum(each.macs for each in times) >= count_graph_macs(read_graph(path))
    assert [each.milliseconds for each in times] == sorted(
        (each.milliseconds for each in times), reverse=True
    )


def test_constants_are_unpacked_together_with_what_needs_them(exported):
    graph = read_graph(exported.paths["float16"])
    groups = groups_to_time(graph)
    kinds = ["+".join(graph.operators[i].kind for i in group) for group in groups]
    assert "DEQUANTIZE+CONV_2D" in kinds
    assert kinds.count("DEQUANTIZE") == 1  # of the pixels, which are no constant
    assert sorted(i for group in groups for i in group) == list(range(len(graph.operators)))


def test_the_peak_is_the_better_runtimes_best_run():
    calls = [PeakCall("int8", 2, None), PeakCall("int8", 2, None)]
    rates = peak_rates(calls, np.array([[4.0, 2.0], [8.0, 1.0]]))
    assert rates == {("int8", 2): pytest.approx(MACS / 1e-3)}


def test_memory_is_that_of_the_file_alone(exported):
    ballast = np.ones(200 << 20, np.uint8)
    costs = measure_costs(exported.paths["int8"])
    # 4 kB of weights; a runtime's own buffers may be some megabytes.
    assert costs.memory_bytes < 50e6 < ballast.nbytes
    assert costs.load_milliseconds > 0
