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
