"""The house rules that a machine can check."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A part imports only lower ranks, or itself. CONTRIBUTING.md explains each.
RANKS = {
    "commandline": 0,
    "files": 0,
    "geometry": 0,
    "images": 0,
    "normalization": 0,
    "quiet": 0,
    "subcommands": 0,
    "skeleton": 0,
    "structures": 0,
    "boxes": 1,
    "embedded": 1,
    "codecs": 1,
    "losses": 1,
    "oks": 1,
    "models": 1,
    "bottomup": 2,
    "bottomup_contract": 2,
    "contract": 2,
    "detector_contract": 2,
    "detector_description": 2,
    "data": 2,
    "metrics": 2,
    "runs": 2,
    "shipped": 1,
    "topdown": 2,
    "zoo": 2,
    "activation_ranges": 3,
    "detection": 3,
    "cascade": 3,
    "drawing": 3,
    "plots": 3,
    "runtime": 3,
    "weights": 3,
    "model_table": 4,
    "inference": 4,
    "measuring": 5,
    "exporting": 6,
    "trainer": 6,
    "parity": 7,
    "tasks": 7,
    "demo": 8,
    "__main__": 9,
}
# Among equals, these may be used by the others: contract < topdown < metrics, and
# weights < runtime.
WITHIN_RANK = {
    ("images", "files"),
    ("skeleton", "files"),
    ("structures", "geometry"),
    ("structures", "skeleton"),
    ("topdown", "contract"),
    ("bottomup_contract", "contract"),
    ("bottomup", "bottomup_contract"),
    ("detector_contract", "bottomup_contract"),
    ("detector_contract", "contract"),
    ("metrics", "contract"),
    ("metrics", "bottomup"),
    ("metrics", "bottomup_contract"),
    ("metrics", "detector_contract"),
    ("metrics", "detector_description"),
    ("metrics", "topdown"),
    ("metrics", "data"),
    ("data", "contract"),
    ("runtime", "weights"),
    ("cascade", "runtime"),
}
# The same inside `exporting`: from the model, through its files, to reports on them.
EXPORTING_RANKS = {
    "subprocesses": 0,
    "comparison": 0,
    "cache": 0,
    "errors": 0,
    "inputs": 0,
    "graphs": 0,
    "float_graph": 1,
    "quantization": 2,
    "inspection": 2,
    "formats": 3,
    "accuracy": 4,
    "shipping": 4,
    "ledger": 5,
    "commands": 5,
    "families": 6,
}
KERAS_ONLY = ("models", "losses.py", "detection/losses.py")


def _imports(path):
    """Yields the dotted names that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _package_files():
    return sorted((ROOT / "keras_pose").rglob("*.py"))


@pytest.mark.parametrize(
    "path", _package_files(), ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_part_imports_only_lower_ranks(path):
    part = path.relative_to(ROOT / "keras_pose").parts[0].removesuffix(".py")
    if part == "__init__":
        return
    for name in _imports(path):
        package, _, rest = name.partition(".")
        other = rest.split(".")[0]
        if package != "keras_pose" or other in ("", part, "__version__"):
            continue
        is_lower = RANKS[other] < RANKS[part]
        assert is_lower or (part, other) in WITHIN_RANK, f"{path} imports {name}"


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "keras_pose" / "exporting").rglob("*.py")),
    ids=lambda path: "/".join(path.parts[-2:]),
)
def test_a_room_of_the_export_imports_only_lower_ranks(path):
    folder = ROOT / "keras_pose" / "exporting"
    room = path.relative_to(folder).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for name in _imports(path):
        inside = name.removeprefix("keras_pose.exporting").lstrip(".")
        other = inside.split(".")[0]
        if not name.startswith("keras_pose.exporting") or other in ("", room):
            continue
        assert EXPORTING_RANKS[other] < EXPORTING_RANKS[room], f"{path} imports {name}"


def test_figures_come_from_one_room():
    # Evaluations that are put together elsewhere drift apart.
    evaluators = {"evaluate", "evaluate_detector", "evaluate_pictures"}
    scripts = [*(ROOT / "training").glob("*.py"), *(ROOT / "export").glob("*.py")]
    for path in [*_package_files(), *scripts]:
        room = path.relative_to(ROOT).parts[1]
        if room not in ("measuring", "metrics"):
            names = {name.rpartition(".")[2] for name in _imports(path)}
            assert not names & evaluators, path


@pytest.mark.parametrize("part", KERAS_ONLY)
def test_models_and_losses_load_under_any_keras_backend(part):
    folder = ROOT / "keras_pose" / part
    for path in [folder] if folder.is_file() else folder.rglob("*.py"):
        packages = {name.split(".")[0] for name in _imports(path)}
        assert not packages & {"tensorflow", "torch", "jax"}, path


def test_running_a_model_file_needs_no_tensorflow():
    parts = "skeleton structures geometry codecs contract topdown drawing runtime inference"
    parts += " tasks inference.video demo.program demo.seeing"
    # Neither what else only the extra "train" installs.
    extra = "tensorflow keras h5py scipy pycocotools matplotlib motmetrics onnx tf2onnx"
    code = f"import sys\nsys.modules |= dict.fromkeys({extra.split()})\n"
    code += "\n".join(f"import keras_pose.{part}" for part in parts.split())
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_scripts_bear_no_name_of_an_importable_module():
    scripts = [*(ROOT / "training").glob("*.py"), *(ROOT / "export").glob("*.py")]
    assert scripts
    for path in scripts:
        assert path.stem not in sys.stdlib_module_names, path
        assert path.stem not in ("onnx", "keras", "tensorflow", "numpy"), path


@pytest.mark.parametrize(
    "script",
    [*(ROOT / "training").glob("*.py"), *(ROOT / "export").glob("*.py")],
    ids=lambda path: path.name,
)
def test_help_is_there_and_loads_no_tensorflow(script):
    # A script that imported TensorFlow before parsing would fail on the None.
    code = (
        "import sys, runpy\nsys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        f"sys.argv = [{str(script)!r}, '--help']\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout


def test_the_table_of_networks_is_that_of_the_zoo():
    # After a change: python -m keras_pose models --update-readme docs/models.md
    from keras_pose.model_table import BEGIN, END, as_markdown, table_rows

    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    table = page.partition(BEGIN)[2].partition(END)[0]
    assert table.splitlines() == as_markdown(table_rows()).splitlines()
