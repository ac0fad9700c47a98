"""Where int8 files gain little over float32: one rule, for the benchmark and the estimator.

A program that opens such a file gives advice, once, as a warning of the class
`SpeedAdvice`, which leaves it to the user whether to see it:

    warnings.filterwarnings("ignore", category=keras_pose.SpeedAdvice)
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from keras_pose.runtime.instructions import NO_PRODUCT, instructions, lacks_products

INT8 = ("int8", "int8_per_tensor")
# Python itself forgets what it has shown whenever a library changes the filters.
_GIVEN: set[str] = set()


class SpeedAdvice(UserWarning):
    """Another file of the same network would be faster on this machine."""


def why_little(found: str) -> str:
    """Returns why int8 gains little in LiteRT, in words that follow a colon.

    Args:
        found: a machine's, from `instructions`.

    Returns:
        The reason; "" for processors with a product of bytes, and where it is not known.
    """
    if NO_PRODUCT not in found:
        return ""
    return (
        f"this machine has {found}, so XNNPACK widens bytes to 16 bits before it "
        "multiplies them"
    )


def advice_of(file_type: str, quantization: str, found: str) -> str:
    """Returns advice about a file that is run, in one line; "" where there is none.

    Only x86 processors were measured (docs/results.md, "int8 without a dot product"), and
    there no file was faster than int8 `.onnx`.

    Args:
        file_type: one of `loading.FILE_TYPES`.
        quantization: number format, from the file's contract.
        found: the machine's, from `instructions`.
    """
    is_slow = file_type == ".tflite" and quantization in INT8 and lacks_products(found)
    if not is_slow:
        return ""
    return (
        f"int8 .tflite files gain little here: {why_little(found)}. Fastest on such a "
        "processor are int8 .onnx files (export/to_onnx.py --int8): 0.92 to 0.94 of the "
        "time with AVX2."
    )


def advise_on(model) -> None:
    """Warns, once in a process, where another file than a model's own would be faster.

    Args:
        model: model that is opened, with `file_type` and `contract`.
    """
    text = advice_of(model.file_type, model.contract.quantization, instructions())
    if text and text not in _GIVEN:
        _GIVEN.add(text)
        warnings.warn(text, SpeedAdvice, stacklevel=1)


@contextlib.contextmanager
def advice_in_a_line() -> Iterator[None]:
    """Prints advice as programs print what they say, without a place in the code."""
    usual = warnings.showwarning

    def show(message, category, *where, **more):
        if issubclass(category, SpeedAdvice):
            print(f"advice      {message}", flush=True)
        else:
            usual(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
