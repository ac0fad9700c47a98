"""Advice about int8 files, on processors that were simulated, both ways."""

import warnings
from types import SimpleNamespace

import pytest
from says import Says

import keras_pose
from keras_pose.runtime import integer_speed
from keras_pose.runtime.integer_speed import advice_of, advise_on, why_little

OLD_X86, NEW_X86 = "AVX2, no dot product of bytes", "AVX2, AVX-VNNI"
MODEL = SimpleNamespace(file_type=".tflite", contract=SimpleNamespace(quantization="int8"))


@pytest.mark.parametrize(
    ("file_type", "quantization", "found", "is_given"),
    [
        (".tflite", "int8", OLD_X86, True),
        (".tflite", "int8_per_tensor", "AVX2, AVX-512, no dot product of bytes", True),
        (".tflite", "int8", NEW_X86, False),
        (".tflite", "float32", OLD_X86, False),
        pytest.param(".onnx", "int8", OLD_X86, False, id="fastest_there"),
        pytest.param(
            ".tflite", "int8", "NEON, no dot product of bytes", False, id="never_measured"
        ),
        (".tflite", "int8", "unknown instructions", False),
    ],
)
def test_advice_is_for_int8_where_it_gains_little(file_type, quantization, found, is_given):
    text = advice_of(file_type, quantization, found)
    assert bool(text) == is_given
    assert "\n" not in text
    if is_given:
        assert f"this machine has {found}, so XNNPACK widens bytes" in text
        assert "int8 .onnx files (export/to_onnx.py --int8)" in text


def test_the_reason_is_known_of_any_processor_without_a_product():
    assert why_little("NEON, no dot product of bytes").startswith("this machine has NEON")
    assert why_little(NEW_X86) == ""


@pytest.fixture
def old_processor(monkeypatch):
    """A processor without a product of bytes, in a process that has given no advice."""
    monkeypatch.setattr(integer_speed, "instructions", lambda: OLD_X86)
    monkeypatch.setattr(integer_speed, "_GIVEN", set())


@pytest.mark.usefixtures("old_processor")
def test_advice_is_given_once():
    with warnings.catch_warnings(record=True) as seen:
        for action in ("default", "always"):  # libraries change filters, too
            warnings.simplefilter(action)
            advise_on(MODEL)
    assert [each.category for each in seen] == [keras_pose.SpeedAdvice]


@pytest.mark.usefixtures("old_processor")
def test_advice_may_be_silenced():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=keras_pose.SpeedAdvice)
        advise_on(MODEL)
    assert not seen


@pytest.mark.usefixtures("old_processor")
def test_programs_print_advice_and_leave_other_warnings_alone(capsys):
    with warnings.catch_warnings(record=True) as seen, integer_speed.advice_in_a_line():
        warnings.simplefilter("default")
        advise_on(MODEL)
        warnings.warn("another", stacklevel=1)
    assert [str(each.message) for each in seen] == ["another"]
    printed = capsys.readouterr().out
    assert printed.startswith("advice      int8 .tflite files gain little here")
    assert Says(
        "int8 .tflite files gain little here: this machine has ... no dot product of bytes",
        do="Nothing is wrong. Where speed counts, export an int8 .onnx file. "
        "`python -W ignore` or a filter on keras_pose.SpeedAdvice silences it.",
    ).is_in(printed)
