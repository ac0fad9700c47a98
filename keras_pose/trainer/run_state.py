"""The state of a run on disk: what it takes to go on after any step.

`last.keras` holds the model that is trained, its optimizer, and in `progress.json` inside
it how far the run is: one file, so that its parts belong together however the process
ended. The state before it is kept beside it, for the case that the newest is damaged.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_pose.contracts.entries import CONTRACT_NAME, VERSION_FIELDS, AnyContract
from keras_pose.files import atomic_path, write_json
from keras_pose.files.runs import (
    BEFORE_LAST_NAME,
    LAST_NAME,
    LOG_NAME,
    PROGRESS_NAME,
    read_progress,
)

NETWORK_CONTRACT_NAME = "network_contract.json"


@dataclass(frozen=True)
class Progress:
    """Position of a run.

    Attributes:
        epochs_done: whole epochs, validated.
        steps_done: steps of the epoch after them.
        best: highest figure of a validation so far, 0 before the first.
        metrics: values of the model's metrics within that epoch, as nested lists, in the
            order of its `metrics_variables`.
        global_batch: samples a step, over all devices; 0 where a state does not say.
    """

    epochs_done: int = 0
    steps_done: int = 0
    best: float = 0.0
    metrics: tuple = ()
    global_batch: int = 0


@dataclass(frozen=True)
class RunState:
    """A state that was found: the file of the model, and how far it is."""

    path: Path
    progress: Progress

    def network_contract(self) -> dict | None:
        """Returns the entries of the contract of the network inside what is trained."""
        with zipfile.ZipFile(self.path) as archive:
            if NETWORK_CONTRACT_NAME not in archive.namelist():
                return None
            return json.loads(archive.read(NETWORK_CONTRACT_NAME))


def save_state(
    model,
    run_dir: Path,
    contract: AnyContract,
    progress: Progress,
    best_name: str,
    contract_name: str = CONTRACT_NAME,
) -> None:
    """Saves a state as the newest, and keeps the one before.

    Args:
        model: Keras model that is trained, with its optimizer.
        run_dir: folder of the run.
        contract: contract of the network.
        progress: position of the run.
        best_name: name of the figure `progress.best`, for people who read `progress.json`.
        contract_name: name in the file; `NETWORK_CONTRACT_NAME` where what is trained is
            not the network that the contract describes.
    """
    last = run_dir / LAST_NAME
    with atomic_path(last) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            entries = {**VERSION_FIELDS, **contract.to_dict()}
            archive.writestr(contract_name, json.dumps(entries, indent=2))
            archive.writestr(PROGRESS_NAME, json.dumps(dataclasses.asdict(progress)))
        if last.exists():
            os.replace(last, run_dir / BEFORE_LAST_NAME)
    values = {"epochs_done": progress.epochs_done, f"best_{best_name}": progress.best}
    if progress.steps_done:
        values["steps_done"] = progress.steps_done
    write_json(run_dir / PROGRESS_NAME, values)


def find_state(run_dir: Path, best_name: str) -> RunState | None:
    """Finds the newest whole state of a run; None for a run that has none yet.

    A newest one that is damaged is passed over, and a warning says so.

    Raises:
        ValueError: if there are states, and all are damaged; names them.
    """
    faults = []
    for name in (LAST_NAME, BEFORE_LAST_NAME):
        path = run_dir / name
        if not path.is_file():
            continue
        try:
            state = RunState(path, _read_progress(path, run_dir, best_name))
        except (zipfile.BadZipFile, ValueError, KeyError, OSError) as error:
            faults.append(f"{path} is damaged ({error})")
            continue
        if faults:
            warnings.warn(
                f"{'; '.join(faults)}: going on from {path}, "
                f"after epoch {state.progress.epochs_done} and "
                f"{state.progress.steps_done} steps.",
                stacklevel=2,
            )
        return state
    if faults:
        raise ValueError(
            f"{'; '.join(faults)}: this run cannot go on. Start a new one, with --weights "
            "naming its best.keras if that is whole."
        )
    return None


def _read_progress(path, run_dir, best_name):
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged:
            raise ValueError(f"its part {damaged} has another checksum")
        if PROGRESS_NAME in archive.namelist():
            return Progress(**json.loads(archive.read(PROGRESS_NAME)))
    # Runs of earlier versions were saved at the ends of epochs only.
    values = read_progress(run_dir)
    return Progress(values["epochs_done"], best=values.get(f"best_{best_name}", 0.0))


def metric_values(model) -> tuple:
    """Returns the values of a model's metrics, as nested lists."""
    return tuple(np.asarray(variable).tolist() for variable in model.metrics_variables)


def restore_metrics(model, values) -> None:
    """Puts `metric_values` back."""
    for variable, value in zip(model.metrics_variables, values, strict=True):
        variable.assign(value)


def forget_rows_from(run_dir: Path, epoch: int) -> None:
    """Drops the rows of `log.csv` of an epoch, counted from 0, and all after it.

    A process that dies after its row and before its state leaves one to be written again.
    """
    path = run_dir / LOG_NAME
    if not path.exists():
        return
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    kept = rows[:1] + [row for row in rows[1:] if row and int(row[0]) < epoch]
    if len(kept) < len(rows):
        with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows(kept)
