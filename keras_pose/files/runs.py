"""Run folders: the names of what a training leaves behind, and how to find it.

recipe.json     what is computed
last.keras      after each epoch and every few minutes, with the optimizer: resume from it
before_last.keras  the state before it, should that be damaged
best.keras      at the highest val_pck (detectors: val_box_ap), weights only: evaluate
                and export it
progress.json   epochs done, and steps of the next, to be read; last.keras has its own
log.csv         one row an epoch
tensorboard/    the same, to look at with `tensorboard --logdir`
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from keras_pose.files import read_json

RECIPE_NAME = "recipe.json"
LAST_NAME, BEST_NAME = "last.keras", "best.keras"
BEFORE_LAST_NAME = "before_last.keras"
PROGRESS_NAME = "progress.json"
LOG_NAME = "log.csv"
TENSORBOARD_NAME = "tensorboard"


def new_run_dir(output_dir, model: str, dataset: str) -> Path:
    """Names a new folder below `output_dir`, by model, data set and time."""
    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    # A data set of one's own comes with its folder, "mine=FOLDER".
    names = "+".join(word.partition("=")[0].strip() for word in dataset.split(","))
    first = run_dir = Path(output_dir) / f"{model}_{names}_{time}"
    number = 2
    while run_dir.exists():
        run_dir = first.with_name(f"{first.name}-{number}")
        number += 1
    return run_dir


def read_progress(run_dir: Path) -> dict:
    """Returns `epochs_done` and `best_val_pck` of a run, both 0 if it has not begun."""
    path = run_dir / PROGRESS_NAME
    return read_json(path) if path.exists() else {"epochs_done": 0, "best_val_pck": 0.0}


# Files of a run lie in its folder, in export/KIND or in ledger/FORMAT.
_DEPTH = 3
RESULTS_NAME = "results"


def lies_in_run(path) -> bool:
    """Returns True for a file in the folder of a run, or in one of its subfolders."""
    folders = Path(path).absolute().parents[:_DEPTH]
    return any((folder / RECIPE_NAME).is_file() for folder in folders)


def results_folder(weights) -> Path:
    """Returns where figures of a weights file go when no folder is named.

    In a run that is beside the weights. Any other file may lie among what belongs to
    others, an installed package included: then it is `results` in the working folder.
    """
    return Path(weights).parent if lies_in_run(weights) else Path(RESULTS_NAME)


def newest_checkpoint(runs_dir) -> Path:
    """Returns the best checkpoint of the run that was written to last.

    Raises:
        FileNotFoundError: if no run has one; says how to make one.
    """
    runs_dir = Path(runs_dir)
    names = (BEST_NAME, LAST_NAME)  # the first that the run has is taken
    checkpoints = [path for name in names for path in runs_dir.glob(f"*/{name}")]
    if not checkpoints:
        raise FileNotFoundError(
            f"There is no run in {runs_dir.absolute()} (runs hold {' or '.join(names)}). "
            "Name a file with --weights, or train: "
            "python training/train.py --model pose_slim"
        )
    newest = max(checkpoints, key=lambda path: path.stat().st_mtime).parent
    return next(newest / name for name in names if (newest / name).exists())


def training_history(weights) -> list[dict[str, Any]]:
    """Returns the recipes of the runs that made a weights file, the first run first.

    A run that started from another's weights names them; what lies there no longer, or
    never was a run, ends the history.
    """
    recipes: list[dict[str, Any]] = []
    seen: set[Path] = set()
    # A word for official weights (coco) has no ending, and no folder.
    while weights and Path(weights).suffix:
        path = Path(weights).absolute().with_name(RECIPE_NAME)
        if path in seen or not path.exists():
            break
        seen.add(path)
        recipes.insert(0, read_json(path))
        weights = recipes[0].get("weights")
    return recipes
