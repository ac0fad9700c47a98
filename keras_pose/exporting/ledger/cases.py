"""Networks that a table of families compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_pose.contracts.detector import read_model_contract
from keras_pose.files import file_sha256
from keras_pose.files.runs import BEST_NAME
from keras_pose.zoo import ZOO, ModelSpec, get_spec

# Networks that take more multiply-accumulates are timed at half their height and width:
# in float they would take seconds a run.
MAX_TIMED_MACS = 6e9
PEOPLE_TASKS = ("top_down", "bottom_up", "one_stage", "detection")


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes:
        model: zoo name.
        input_hw: (height, width), pixels.
        weights: `.keras` file of a trained one; None for random weights.
    """

    model: str
    input_hw: tuple[int, int]
    weights: Path | None = None

    @property
    def family(self) -> str:
        return get_spec(self.model).family

    @property
    def folder_name(self) -> str:
        height, width = self.input_hw
        digits = "" if self.weights is None else f"_{file_sha256(self.weights)[:8]}"
        return f"{self.model}_{height}x{width}{digits}"


def lightest_models() -> list[str]:
    """Returns the network of each family that takes the fewest multiply-accumulates.

    Only families that find people or their poses; classifiers and the like are trunks.
    """
    lightest: dict[str, ModelSpec] = {}
    for spec in ZOO.values():
        if spec.task not in PEOPLE_TASKS:
            continue
        if spec.macs < lightest.setdefault(spec.family, spec).macs:
            lightest[spec.family] = spec
    return [spec.name for spec in lightest.values()]


def random_cases(models: Sequence[str]) -> list[Case]:
    """Returns networks with random weights, by zoo name.

    Raises:
        ValueError: for a name that is not in the zoo.
    """
    return [Case(name, _timed_hw(get_spec(name))) for name in models]


def _timed_hw(spec: ModelSpec) -> tuple[int, int]:
    if spec.macs <= MAX_TIMED_MACS:
        return spec.input_hw
    multiple = spec.input_multiple
    height, width = (size // (2 * multiple) * multiple for size in spec.input_hw)
    return height, width


def trained_cases(paths) -> list[Case]:
    """Finds trained networks.

    Args:
        paths: `.keras` files, run folders, or folders of run folders.

    Raises:
        FileNotFoundError: for a path with no network.
        ValueError: for a file without a contract.
    """
    cases = []
    for path in paths:
        for file in _checkpoints(Path(path)):
            contract = read_model_contract(file)
            cases.append(Case(contract.model, contract.input_hw, file))
    return cases


def _checkpoints(path: Path) -> list[Path]:
    if path.suffix == ".keras":
        return [path]
    found = [path / BEST_NAME] if (path / BEST_NAME).exists() else []
    found = found or sorted(path.glob(f"*/{BEST_NAME}"))
    if not found:
        raise FileNotFoundError(
            f"{path} must be a .keras file, a run, or a folder of runs with a {BEST_NAME} "
            "each; there is none."
        )
    return found
