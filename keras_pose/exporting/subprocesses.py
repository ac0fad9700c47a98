"""Function calls in a process of their own: what crashes, hangs or hoards there ends there.

For files from anywhere, which may take a runtime's C++ code down; for conversions,
whose memory is only given back when their process ends; and for measuring what one file
costs, apart from all others.

    call_in_child("keras_pose.exporting.inspection.audit:audit_here", "model.tflite")
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import keras_pose

# Errors that stay what they are on the way to the parent.
_KNOWN_ERRORS = {
    error.__name__: error
    for error in (ValueError, FileNotFoundError, PermissionError, OSError, ImportError)
}
NUM_LINES_SHOWN = 3


class ChildFailedError(ValueError):
    """A process that died, hung, or failed in an unforeseen way."""


def call_in_child(
    target: str,
    *arguments: Any,
    timeout_seconds: float | None = None,
    memory_bytes: int | None = None,
    shows_stderr: bool = False,
) -> Any:
    """Calls a function in a new process and waits for what it returns.

    Args:
        target: "module:function".
        arguments: positional arguments that JSON can hold, paths as strings.
        timeout_seconds: seconds after which the process is ended.
        memory_bytes: limit of its address space, bytes.
        shows_stderr: True to show its messages and progress bars; otherwise their last
            lines are part of the error.

    Returns:
        What the function returned, after a passage through JSON.

    Raises:
        ChildFailedError: if the process died, ran out of time, or raised an error that is
            none of the following.
        ValueError, OSError, ImportError: as raised in the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer, log = Path(folder) / "answer.json", Path(folder) / "stderr"
        request = {
            "target": target,
            "arguments": arguments,
            "memory_bytes": memory_bytes,
            "answer": str(answer),
        }
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=None if shows_stderr else errors,
                stderr=None if shows_stderr else errors,
                env=_environment(),
            )
            try:
                process.communicate(json.dumps(request).encode(), timeout_seconds)
            except subprocess.TimeoutExpired as error:
                raise ChildFailedError(
                    f"{_words(target)} took longer than {timeout_seconds:g} s."
                ) from error
            finally:
                process.kill()
                process.wait()
        return _read_answer(answer, log, process.returncode, target)


def _environment() -> dict[str, str]:
    """The child finds this package also where it is run from a clone."""
    root = str(Path(keras_pose.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def _read_answer(answer: Path, log: Path, status: int, target: str) -> Any:
    if not answer.exists():
        raise ChildFailedError(f"{_words(target)} {_death(status)}{_last_lines(log)}")
    values = json.loads(answer.read_text(encoding="utf-8"))
    if "error" not in values:
        return values["result"]
    known = _KNOWN_ERRORS.get(values["error"])
    if known is not None:
        raise known(values["message"])
    raise ChildFailedError(f"{_words(target)} failed: {values['message']}")


def _words(target: str) -> str:
    return target.partition(":")[2].strip("_").replace("_", " ")


def _death(status: int) -> str:
    if status < 0:
        return f"took its process down ({signal.Signals(-status).name})."
    return f"ended its process with status {status}."


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " ".join(["", *lines[-NUM_LINES_SHOWN:]])


def peak_memory() -> int:
    """Returns the most memory this process ever held, bytes."""
    # Not getrusage: on Linux its maximum starts at that of the parent.
    status = proc_value("VmHWM:")
    if status is not None:
        return 1024 * status
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def current_memory() -> int:
    """Returns the memory this process holds now, bytes; where unknown, the most so far."""
    status = proc_value("VmRSS:")
    return peak_memory() if status is None else 1024 * status


def give_back_memory() -> None:
    """Gives the system the memory of what is not used any more.

    Graphs are in circles, and hold all weights until they are looked for; and the C library
    keeps what is freed between blocks in use, which after a conversion is a gigabyte.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:  # of GNU's C library alone
        trim(0)


def proc_value(field: str, process: int | str = "self", file="status") -> int | None:
    """Reads a number of kibibytes of a process; None if it has ended, or without /proc."""
    try:
        lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), None)


def _serve() -> None:
    """Runs in the child: reads the request, writes the answer whole or not at all."""
    from keras_pose.files import write_json

    request = json.load(sys.stdin)
    if request["memory_bytes"] is not None:
        limit = request["memory_bytes"]
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        module, _, function = request["target"].partition(":")
        call = getattr(importlib.import_module(module), function)
        values = {"result": call(*request["arguments"])}
    except (ValueError, OSError, ImportError) as error:
        names = [each.__name__ for each in type(error).__mro__]
        known = next(name for name in names if name in _KNOWN_ERRORS)
        values = {"error": known, "message": str(error)}
    except Exception as error:  # reported to the parent, which knows what was asked
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        values = {"error": type(error).__name__, "message": text}
    write_json(request["answer"], values)


if __name__ == "__main__":
    _serve()
