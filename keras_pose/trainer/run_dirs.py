"""Run folders and their recipes, whatever is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_pose.files import check_writable, read_json, write_json
from keras_pose.files.runs import BEST_NAME, RECIPE_NAME
from keras_pose.skeleton import SKELETONS
from keras_pose.skeleton.files import read_skeleton, skeleton_to_dict
from keras_pose.trainer.bottom_up_recipes import (
    BottomUpRecipe,
    get_bottom_up_recipe,
)
from keras_pose.trainer.detection_recipes import DetectionRecipe, get_detection_recipe
from keras_pose.trainer.recipes import Recipe, get_recipe
from keras_pose.zoo import get_spec

AnyRecipe = Recipe | DetectionRecipe | BottomUpRecipe


def open_run_dir(run_dir, recipe: AnyRecipe) -> Path:
    """Makes a run's folder with its recipe, or finds the same run there to go on with.

    Raises:
        PermissionError: when nothing can be written there.
        ValueError: when the folder holds a run of another recipe; says what differs.
    """
    run_dir = Path(run_dir)
    check_writable(run_dir)
    if not (run_dir / RECIPE_NAME).exists():
        write_json(run_dir / RECIPE_NAME, _with_skeleton(recipe.to_dict()))
    check_run_dir(run_dir, recipe)
    return run_dir


def check_run_dir(run_dir, recipe: AnyRecipe) -> None:
    """Looks whether a folder holds the run of a recipe, or none yet; writes nothing.

    Raises:
        ValueError: when it holds a run of another recipe; says what differs.
    """
    run_dir = Path(run_dir)
    if not (run_dir / RECIPE_NAME).exists():
        return
    wanted = _with_skeleton(recipe.to_dict())
    there = _with_skeleton(read_recipe(run_dir).to_dict())
    differing = [name for name in wanted if there.get(name) != wanted[name]]
    if differing:
        changes = "; ".join(
            f"{name}: {there.get(name)} there, {wanted[name]} now" for name in differing
        )
        raise ValueError(f"{run_dir} holds a run of another recipe ({changes}).")


def _with_skeleton(entries: dict[str, Any]) -> dict[str, Any]:
    """Puts the contents of a skeleton file in place of its path, which may not last."""
    word = entries.get("skeleton")
    if isinstance(word, str) and word not in SKELETONS and Path(word).is_file():
        return entries | {"skeleton": skeleton_to_dict(read_skeleton(word))}
    return entries


def read_recipe(run_dir) -> AnyRecipe:
    """Reads the recipe of a run.

    Raises:
        FileNotFoundError: for a folder that is not a run.
        ValueError: for a recipe with unknown entries, or of an unknown model.
    """
    values: dict[str, Any] = read_json(Path(run_dir) / RECIPE_NAME)
    return recipe_class(values.get("model", "")).from_dict(values)


def recipe_to_resume(run_dir, given: dict[str, Any]) -> AnyRecipe:
    """Returns the recipe by which a run goes on: its own, or with more epochs.

    The longer recipe is written into the folder: it is now the run's.

    Args:
        run_dir: folder of the run.
        given: entries that are asked for; those that the run has anyway change nothing.

    Raises:
        ValueError: for any other change, and for fewer epochs; says why.
        FileNotFoundError: for a folder that is not a run.
    """
    recipe = read_recipe(run_dir)
    there, given = _with_skeleton(recipe.to_dict()), _with_skeleton(given)
    changed = {name: value for name, value in given.items() if there.get(name) != value}
    for name, value in changed.items():
        if name != "epochs":
            raise ValueError(
                f"{run_dir} cannot go on with {name} {value} in place of "
                f"{there.get(name)}: {_WHY_FIXED.get(name, _WHY_FIXED[''])}. For a new run "
                f"from its weights: --weights {Path(run_dir) / BEST_NAME}."
            )
    if not changed:
        return recipe
    _check_longer(run_dir, recipe, changed["epochs"])
    longer = recipe.override(epochs=changed["epochs"])
    write_json(Path(run_dir) / RECIPE_NAME, _with_skeleton(longer.to_dict()))
    print(
        f"epochs      {longer.epochs} in place of {recipe.epochs}: the learning rate goes "
        f"on as that of a run of {longer.epochs}"
    )
    return longer


# Why a run that has begun cannot take another value; the last for all others.
_WHY_FIXED = {
    "batch_size": "its order of samples, its schedule and the optimizer's state count in "
    "batches of the run",
    "learning_rate": "its schedule and the optimizer's state are those of this rate",
    "": "a run is what its recipe says, from the first step on",
}


def _check_longer(run_dir, recipe, epochs):
    if recipe.max_steps:
        raise ValueError(
            f"{run_dir} ends after {recipe.max_steps} steps, whatever its epochs: more "
            "epochs would change nothing. Start a new run."
        )
    if epochs < recipe.epochs:
        raise ValueError(
            f"{run_dir} is a run of {recipe.epochs} epochs and can be given more of them, "
            f"not {epochs}. To end it early, stop it: {BEST_NAME} is its best so far."
        )


def recipe_for(model: str, dataset: str = "coco") -> AnyRecipe:
    """Returns the recipe of any model of the zoo; errors as `get_recipe`."""
    match get_spec(model).task:
        case "detection":
            return get_detection_recipe(model, dataset)
        case "bottom_up":
            return get_bottom_up_recipe(model, dataset)
        case "one_stage":
            raise ValueError(
                f"{model} is not trained here: its assignment of people to cells, and its "
                "losses, are mmpose's. Official weights are converted "
                "(training/import_weights.py); train rtmpose_s with a detector, or "
                "openpose_lite."
            )
    return get_recipe(model, dataset)


def with_entries_of(recipe: AnyRecipe, path) -> AnyRecipe:
    """Returns a recipe with what a file says otherwise.

    Args:
        recipe: for the model and the data set that are to be trained, whatever the file
            says of these.
        path: a JSON file with entries of a recipe, such as a run's `recipe.json`.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: names the file, and the entry that does not fit.
    """
    entries = read_json(path)
    if not isinstance(entries, dict):
        raise ValueError(f"{path} must hold one JSON object of a recipe's entries.")
    own = recipe.to_dict()
    kept = {name: own[name] for name in ("model", "dataset", "data_dir")}
    try:
        return type(recipe).from_dict(own | entries | kept)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def recipe_class(model: str) -> type[AnyRecipe]:
    """Returns the kind of recipe that a model of the zoo is trained by."""
    match get_spec(model).task:
        case "detection":
            return DetectionRecipe
        case "bottom_up":
            return BottomUpRecipe
    return Recipe
