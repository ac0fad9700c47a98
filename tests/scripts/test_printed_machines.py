"""Every program that prints times prints which instructions the machine has."""

import sys
from pathlib import Path

import numpy as np
import pytest

from keras_pose.exporting.commands import export_costs
from keras_pose.runtime.instructions import instructions
from training import (
    benchmark_input,
    benchmark_large_picture,
    benchmark_reading,
    benchmark_step,
    picture_speed,
    profile_step,
    speed,
    thread_check,
)

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "mobile_demo" / "web"), str(ROOT / "export")]

import export_costs as export_costs_program  # noqa: E402
import measure as web_measure  # noqa: E402

STEP = {"images_per_second": 2.0, "images_per_cpu_second": 1.0,
        "first_step_cpu_seconds": 9.0, "first_step_peak_bytes": 1e6}  # fmt: skip
OPENING = {"people": 1, "seconds": 1.0, "cpu_seconds": 1.0, "peak_mb": 2, "before_mb": 1}
TURNS = [
    {"detectEvery": every, "seconds": 1.0, "frames": [{"stages": {}, "isDetected": True}]}
    for every in ("1", "10") * 2
]


class Stage:
    """Stands for an estimator, a network and a site: none of them is timed here."""

    box_threshold, detector, keypoints_xy = 0.3, None, np.zeros((1, 1, 2))

    def __init__(self, *_, **__):
        pass

    def __call__(self, *_):
        return self

    def __len__(self):
        return 1

    build_site = __call__


def step_of_nothing(args, ours):
    benchmark_step.build_network(args)  # profile_step takes the network from there
    return (lambda: None), None


@pytest.fixture(autouse=True)
def nothing_is_timed(monkeypatch):
    samples = 1, np.ones((2, 3))
    for module, name, stand_in in (
        (benchmark_input, "measure", {name: {"decode": 1.0} for name in (
            benchmark_input.PLAIN, benchmark_input.OURS)}),
        (benchmark_large_picture, "measure", {"seconds": 1.0, "peak_mb": 2}),
        (benchmark_reading, "measure", OPENING),
        (benchmark_reading, "write_file", 1.0),
        (benchmark_step, "measure", {"oneDNN": STEP}),
        (export_costs, "compare_builds", [["build", "to_tflite", 1.0, 1.0, 1.0, 1.0]]),
        (picture_speed, "measure_boxes", samples),
        (picture_speed, "measure_drawing", samples),
        (profile_step, "record", ({}, 1.0, 1.0, 1.0)),
        (profile_step, "table_of", []),
        (speed, "MEASURED", {"oks_nms": lambda: ("NMS", 2.0, 1.0)}),
        (web_measure, "write_clip", None),
        (web_measure, "load_serve", Stage()),
        (web_measure, "browse", {"opened": {"runtime": "wasm"}, "rates": TURNS}),
    ):  # fmt: skip
        known = stand_in if name == "MEASURED" else lambda *_, _it=stand_in, **__: _it
        monkeypatch.setattr(module, name, known)
    monkeypatch.setattr("keras_pose.inference.PoseEstimator", Stage)
    monkeypatch.setattr(profile_step, "convolutions_of", lambda *_: {})
    monkeypatch.setattr(benchmark_step, "build_network", lambda args: None)
    monkeypatch.setattr(benchmark_step, "keras_step", step_of_nothing)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (benchmark_input, ["--data-dir", "."]),
        (benchmark_large_picture, []),
        (benchmark_reading, []),
        (benchmark_step, ["--variants", "oneDNN"]),
        (export_costs_program, ["--builds", f"ours={ROOT}"]),
        (picture_speed, []),
        (profile_step, []),
        (speed, []),
        (thread_check, ["--weights", "a", "--threads", "1", "--pictures", "1"]),
        (web_measure, []),
    ],
    ids=lambda value: value.__name__.split(".")[-1] if hasattr(value, "main") else "",
)
def test_times_stand_beside_the_machine_they_are_of(program, words, capsys):
    program.main(words)
    lines = capsys.readouterr().out.splitlines()
    (machine,) = (line for line in lines if line.startswith("machine  "))
    assert machine.endswith(f" cores, {instructions()}")
    assert len(lines) > 1
