"""The program that compares vectorised code with loops."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "speed.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("speed_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_loops_and_arrays_keep_the_same_poses(script):
    what, slow, fast = script.measure_oks_nms(60)
    assert what == "OKS-NMS of 60 poses, 30 kept"
    assert slow > fast > 0


def test_another_result_is_an_error_not_a_ratio(script, monkeypatch):
    monkeypatch.setattr(script, "oks_nms_by_loops", lambda *_: [0])
    with pytest.raises(ValueError, match="keeps others"):
        script.measure_oks_nms(20)


def test_the_ratio_is_printed(script, monkeypatch, capsys):
    monkeypatch.setitem(script.MEASURED, "oks_nms", lambda: ("NMS", 0.5, 0.01))
    script.main(["--only", "oks_nms"])
    assert "loops 500 ms, vectorised 10.0 ms, 50 times as fast" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["gaussian", "dark", "udp"])
def test_loops_and_arrays_decode_the_same_points(script, kind):
    what, slow, fast = script.measure_decode(kind, num_people=20)
    assert what == f"{kind} decoding of 20 people (joint by joint, NumPy)"
    assert slow > fast > 0


def test_plain_loops_decode_the_same_points(script):
    what, slow, fast = script.measure_decode("gaussian", is_plain=True, num_people=20)
    assert what == "gaussian decoding of 20 people (in plain Python)"
    assert slow > fast > 0


def test_other_points_are_an_error_not_a_ratio(script, monkeypatch):
    monkeypatch.setattr(script, "_quarter", lambda *_: [0.25, 0.0])
    with pytest.raises(ValueError, match="gaussian codec finds other points"):
        script.measure_decode("gaussian", num_people=2)


def test_loops_and_arrays_parse_the_same_people(script):
    what, slow, fast = script.measure_parsing(6, 160)
    assert what == "parsing of 102 candidates, 6 people"
    assert slow > fast > 0


def test_other_people_are_an_error_not_a_ratio(script, monkeypatch):
    monkeypatch.setattr(script, "people_by_loops", lambda *_: [])
    with pytest.raises(ValueError, match="finds other people"):
        script.measure_parsing(2, 96)
