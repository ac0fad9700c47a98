"""Variants of a recipe: runs that differ in a few entries, compared after equal steps."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_pose.files import read_json
from keras_pose.files.runs import BEST_NAME
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.measuring.tradeoff import Accuracy, measure_accuracy
from keras_pose.trainer.any_fit import fit_any
from keras_pose.trainer.run_dirs import AnyRecipe

# Names become folders.
_NAME = re.compile(r"[\w.+-]+( [\w.+-]+)*")


@dataclass(frozen=True)
class Variants:
    """Recipes by name, in the order they are trained in."""

    recipes: dict[str, AnyRecipe]

    def differences(self, name: str) -> dict[str, Any]:
        """Returns the entries of a variant that are not those of the first one."""
        first = next(iter(self.recipes.values())).to_dict()
        entries = self.recipes[name].to_dict()
        return {key: value for key, value in entries.items() if value != first[key]}


def read_variants(path) -> dict[str, dict[str, Any]]:
    """Reads a file of variants: name -> entries of a recipe.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it holds something else.
    """
    values = read_json(path)
    if not isinstance(values, dict) or not all(
        isinstance(v, dict) for v in values.values()
    ):
        raise ValueError(
            f"{path} must hold one JSON object: names of variants, each with an object of "
            "recipe entries."
        )
    return values


def make_variants(base: AnyRecipe, entries: Mapping[str, Mapping[str, Any]]) -> Variants:
    """Makes recipes out of one, each with entries of its own.

    Args:
        base: recipe that they share.
        entries: name of a variant -> entries in which it differs; {} for the base itself.
            Entries of "augmentation" are taken over one by one.

    Raises:
        ValueError: for fewer than two variants, names that are no names of folders, two
            that are alike, and entries that do not fit, with the variant's name.
    """
    if len(entries) < 2:
        raise ValueError(f"A comparison needs two variants, got {len(entries)}.")
    own = base.to_dict()
    recipes: dict[str, AnyRecipe] = {}
    for name, changed in entries.items():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"Names of variants are names of folders: letters, digits, . + - _ and "
                f"single blanks, got {name!r}."
            )
        changed = dict(changed)
        if isinstance(changed.get("augmentation"), dict):
            changed["augmentation"] = own["augmentation"] | changed["augmentation"]
        try:
            recipe = type(base).from_dict(own | changed)
        except (ValueError, TypeError) as error:
            raise ValueError(f"Variant {name}: {error}") from error
        if twin := next((key for key, value in recipes.items() if value == recipe), None):
            raise ValueError(f"The variants {twin} and {name} are alike.")
        recipes[name] = recipe
    return Variants(recipes)


@dataclass(frozen=True)
class Comparison:
    """Runs of variants, and their figures.

    Attributes:
        run_dirs: name of a variant -> its run folder.
        accuracy: figures of the best weights, by name of the variant.
        differences: name of a variant -> entries that the first one has otherwise.
        steps: steps that each was trained for.
    """

    run_dirs: dict[str, Path]
    accuracy: Accuracy
    differences: dict[str, dict[str, Any]]
    steps: int

    def to_dict(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        return values | {"run_dirs": {k: str(v) for k, v in self.run_dirs.items()}}


def compare_variants(
    variants: Variants,
    settings: MeasureSettings,
    folder,
    devices: str = "auto",
    report: Callable[[str], None] = print,
) -> Comparison:
    """Trains the variants, one after the other, then measures the best weights of each.

    Args:
        variants: recipes, all with the same `max_steps`.
        settings: the data that all are measured on, and how.
        folder: folder for a run folder each; runs that are there go on, or are done.
        devices: devices to train on, a word of `trainer.devices.make_strategy`.
        report: function that takes lines for the user.

    Raises:
        ValueError: for runs of different lengths, and as `fit`.
    """
    steps = {recipe.max_steps for recipe in variants.recipes.values()}
    if len(steps) > 1 or 0 in steps:
        raise ValueError(
            "Variants are trained for one number of steps, max_steps of their recipes, got "
            f"{', '.join(map(str, sorted(steps)))}."
        )
    run_dirs = {name: Path(folder) / name.replace(" ", "_") for name in variants.recipes}
    for number, (name, recipe) in enumerate(variants.recipes.items(), start=1):
        report(f"\nvariant     {number} of {len(run_dirs)}: {name}")
        for entry, value in variants.differences(name).items():
            report(f"            {entry} = {value}")
        keras.backend.clear_session()  # names of layers, and memory, as in a run alone
        fit_any(recipe, run_dirs[name], devices)
    report("")
    best = {name: run_dir / BEST_NAME for name, run_dir in run_dirs.items()}
    measured = measure_accuracy(list(best.values()), settings, report=report)
    values = {name: measured.values[str(path)] for name, path in best.items()}
    return Comparison(
        run_dirs,
        dataclasses.replace(measured, values=values),
        {name: variants.differences(name) for name in run_dirs},
        steps.pop(),
    )


def comparison_table(comparison: Comparison) -> str:
    """Lays out the figures as Markdown, with what each variant changes and brings."""
    accuracy = comparison.accuracy
    first = next(iter(accuracy.values.values()))
    lines = [f"| variant | {accuracy.name} | difference | changed |", "|---|---|---|---|"]
    for name, value in accuracy.values.items():
        changed = ", ".join(
            f"{entry} {value}" for entry, value in comparison.differences[name].items()
        )
        lines.append(f"| {name} | {value:.3f} | {value - first:+.3f} | {changed or '-'} |")
    return "\n".join(lines)
