"""The subcommands of `keras-pose`, and the programs that they run.

The programs are the scripts of a clone (`training/`, `export/`), which a wheel carries
along as `keras_pose/scripts` (`setup.py`). They are run in this process.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# Where the scripts lie: in an installed package, or beside the package in a clone.
ROOTS = (PACKAGE / "scripts", PACKAGE.parent)
PROGRAM = "keras-pose"


@dataclass(frozen=True)
class Subcommand:
    """A word after `keras-pose`.

    Attributes:
        text: description of the command, one line of the list of all.
        scripts: word that picks one -> its path in a clone; the first is the usual one.
        missing: message for a copy of the package without the script.
    """

    text: str
    scripts: dict[str, str]
    missing: str = "This copy of keras_pose comes without its scripts: install it anew."


SUBCOMMANDS = {
    "train": Subcommand(
        "train a pose network or a person detector", {"": "training/train.py"}
    ),
    "evaluate": Subcommand(
        "measure model files by official metrics", {"": "training/evaluate.py"}
    ),
    "export": Subcommand(
        "write a file for phones: export [tflite|onnx|coreml|npu] ...",
        {
            "tflite": "export/to_tflite.py",
            "onnx": "export/to_onnx.py",
            "coreml": "export/to_coreml.py",
            "npu": "export/to_npu.py",
        },
    ),
    "demo": Subcommand(
        "photographs, then a small network that learns", {"": "training/demo.py"}
    ),
    "serve": Subcommand(
        "serve the page that runs models in a phone's browser",
        {"": "mobile_demo/web/serve.py"},
        "The phone's page is not part of the installed package: it needs a clone of the "
        "keras_pose repository and npm. There: keras-pose serve, or "
        "python mobile_demo/web/serve.py --https",
    ),
}


def list_subcommands() -> str:
    """Returns a line for each subcommand."""
    return "\n".join(f"  {name:<9} {each.text}" for name, each in SUBCOMMANDS.items())


def run(name: str, argv: list[str]) -> None:
    """Runs a subcommand with the arguments that follow its name.

    Raises:
        FileNotFoundError: where this copy of the package lacks the script.
    """
    subcommand = SUBCOMMANDS[name]
    words = [name]
    kind = next(iter(subcommand.scripts))
    if argv and argv[0] in subcommand.scripts:
        kind, *argv = argv
        words.append(kind)
    path = find_script(subcommand.scripts[kind])
    if path is None:
        raise FileNotFoundError(subcommand.missing)
    # argparse names the program after it.
    sys.argv = [" ".join([PROGRAM, *words]), *argv]
    _load_main(path)(argv)


def find_script(relative: str) -> Path | None:
    """Returns the path of a script by its path in a clone; None where it is not."""
    found = (root / relative for root in ROOTS)
    return next((path for path in found if path.is_file()), None)


def _load_main(path: Path) -> Callable[[list[str]], object]:
    spec = importlib.util.spec_from_file_location(f"keras_pose_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"Cannot load {path}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.main
