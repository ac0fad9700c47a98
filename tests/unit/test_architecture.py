"""The house rules that a machine can check."""

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A part imports only parts of lower floors, or itself. CONTRIBUTING.md explains each.
FLOORS = (
    "commandline files losses",
    "modelfiles shipped skeleton",
    "codecs models pictures",
    "contracts data zoo",
    "weights",
    "runtime",
    "metrics",
    "inference",
    "measuring",
    "exporting trainer",
    "parity tasks",
    "demo",
    "__main__",
)
# The same inside `exporting`: from the model, through its files, to reports on them.
EXPORTING_FLOORS = (
    "cache comparison errors inputs subprocesses",
    "float_graph",
    "inspection quantization",
    "formats",
    "accuracy shipping",
    "commands ledger",
)
# Files and folders at the top of the package.
MAX_ENTRIES = 24
KERAS_ONLY = ("models", "losses")


def _ranks(floors):
    return {part: rank for rank, parts in enumerate(floors) for part in parts.split()}


RANKS, EXPORTING_RANKS = _ranks(FLOORS), _ranks(EXPORTING_FLOORS)


def _imports(path):
    """Yields the dotted names that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


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
        assert RANKS[other] < RANKS[part], f"{path} imports {name}"


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


def test_the_package_can_be_seen_at_a_glance():
    # Of folders that moved, Python may have left compiled files behind.
    entries = {path.relative_to(ROOT).parts[1] for path in _package_files()}
    assert len(entries) <= MAX_ENTRIES, sorted(entries)


def test_no_two_files_of_the_package_have_one_name():
    counts = Counter(path.name for path in _package_files())
    twice = {name for name, count in counts.items() if count > 1} - {"__init__.py"}
    assert not twice


def test_no_modules_import_each_other_in_a_circle():
    names = {_module(path): path for path in _package_files()}
    # A module's own package has been started when the module is; it is left out.
    TopologicalSorter(
        {
            name: {
                other
                for other in names.keys() & set(_imports(path))
                if not f"{name}.".startswith(f"{other}.")
            }
            for name, path in names.items()
        }
    ).prepare()


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
    for path in folder.rglob("*.py"):
        packages = {name.split(".")[0] for name in _imports(path)}
        assert not packages & {"tensorflow", "torch", "jax"}, path


def test_running_a_model_file_needs_no_tensorflow():
    parts = "skeleton pictures.geometry codecs contracts pictures.drawing runtime"
    parts += " inference tasks inference.video demo.program demo.seeing"
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
    from keras_pose.weights.model_table import BEGIN, END, as_markdown, table_rows

    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    table = page.partition(BEGIN)[2].partition(END)[0]
    assert table.splitlines() == as_markdown(table_rows()).splitlines()
