"""Training on several data sets at once: one skeleton, one stream of samples.

Keypoints are matched by name. A keypoint that a set does not label has visibility 0
there, so it has no weight in the loss. Validation is on the first set that has a
validation split of its own.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.data.datasets import (
    SPECS,
    PoseDataset,
    check_dataset_name,
    open_dataset,
    open_for_skeleton,
)
from keras_pose.data.mapping import map_records
from keras_pose.data.own import check_own_name, is_own, own_skeleton
from keras_pose.data.readers.coco import AS_WRITTEN, Reading
from keras_pose.skeleton import SKELETONS, UNIFORM_SIGMA, Skeleton, is_numbered
from keras_pose.skeleton.files import read_skeleton, skeleton_from_dict

UNION = "union"


@dataclass(frozen=True)
class Mix:
    """Data sets to train on, and their shares.

    Attributes:
        names: data sets, each once.
        data_dirs: the folder of each; None for its default.
        shares: relative sampling weights of the sets; () weights each by its number of
            people.
        skeleton: keypoints that all sets are mapped to; None for the set's own, and for the
            union of several.
        reading: options of the user for the sets in COCO's format.
    """

    names: tuple[str, ...]
    data_dirs: tuple[str | None, ...]
    shares: tuple[float, ...] = ()
    skeleton: Skeleton | None = None
    reading: Reading = AS_WRITTEN

    @property
    def is_single(self) -> bool:
        return len(self.names) == 1


def parse_mix(
    datasets: str,
    data_dir: str | Path | None = None,
    shares: str | None = None,
    skeleton: str | dict[str, Any] | None = None,
    reading: Reading = AS_WRITTEN,
) -> Mix:
    """Reads the words of the command line.

    Args:
        datasets: "coco" or "coco,lsp_extended"; "mine=FOLDER" for a set of one's own,
            alone or among others; alone, `data_dir` may name its folder.
        data_dir: a folder for one set; "coco=FOLDER,mpii=FOLDER" for several, those not
            named having their default.
        shares: "coco=2,lsp_extended=1".
        skeleton: name of a built-in skeleton, "union", a file, or a file's contents.
        reading: options of the user for the sets in COCO's format.

    Raises:
        ValueError: for unknown names, a set that is there twice, shares that are not
            above 0 or not of all sets.
    """
    folders = None if data_dir is None else str(data_dir)
    if folders and _is_new_name(datasets):
        datasets, folders = f"{datasets.strip()}={folders}", None
    inline = dict(map(_named_folder, datasets.split(",")))
    names = tuple(_named_folder(word)[0] for word in datasets.split(","))
    if len(set(names)) < len(names):
        raise ValueError(f"Each data set goes into a mix once, got {', '.join(names)}.")
    if len(names) == 1 and not (folders or "").startswith(f"{names[0]}="):
        data_dirs: dict[str, str] = {} if folders is None else {names[0]: folders}
    else:
        data_dirs = _assignments("--data-dir", folders, names)
    data_dirs |= {name: folder for name, folder in inline.items() if folder}
    values = _assignments("--mix", shares, names)
    if values and set(values) != set(names):
        missing = sorted(set(names) - set(values))
        raise ValueError(
            f"--mix must name every data set, {', '.join(missing)} is missing."
        )
    return Mix(
        names,
        tuple(_home(data_dirs.get(name)) for name in names),
        tuple(_share(name, values[name]) for name in names) if values else (),
        load_skeleton(skeleton) if skeleton and skeleton != UNION else None,
        reading,
    )


def _is_new_name(word: str) -> bool:
    """Returns True if a word names one set, and none of ours, not even misspelt."""
    name = word.strip()
    near = difflib.get_close_matches(name, SPECS, n=1)
    return not near and not {",", "="} & set(name)


def _named_folder(word: str) -> tuple[str, str]:
    """Reads "coco" or "mine=FOLDER"; a folder makes a name of one's own a data set."""
    name, equals, folder = word.strip().partition("=")
    if not equals:
        return check_dataset_name(name), ""
    if not folder:
        raise ValueError(f"The data set {name!r} needs its folder: {name}=FOLDER.")
    return check_own_name(name), folder


def _home(folder: str | None) -> str | None:
    """Reads ~, which shells leave alone after an equals sign."""
    return folder if folder is None else str(Path(folder).expanduser())


def _assignments(option, text, names) -> dict[str, str]:
    """Reads "a=x,b=y"."""
    values: dict[str, str] = {}
    for part in text.split(",") if text else ():
        name, equals, value = part.strip().partition("=")
        if not equals or name not in names or not value:
            raise ValueError(
                f"{option} must be like {names[0]}=VALUE,... with names out of "
                f"{', '.join(names)}; got {part!r}."
            )
        if name in values:
            raise ValueError(f"{option} names {name} twice.")
        values[name] = value
    return values


def _share(name, text) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not (math.isfinite(share) and share > 0):
        raise ValueError(f"--mix needs a number above 0 for {name}, got {text!r}.")
    return share


def load_skeleton(word: str | dict[str, Any]) -> Skeleton:
    """Returns the built-in skeleton of that name, that of a file, or of its contents."""
    if isinstance(word, dict):
        return skeleton_from_dict(word)
    if word in SKELETONS:
        return SKELETONS[word]
    if not Path(word).is_file():
        raise ValueError(
            f"Skeleton {word!r} is neither a file nor one of {', '.join(SKELETONS)}, "
            f"{UNION}."
        )
    return read_skeleton(word)


def union_skeleton(skeletons) -> Skeleton:
    """Merges skeletons by the names of their keypoints, in order of first appearance.

    It has OKS sigmas only if every keypoint has one in some set; the first counts.
    """
    skeletons = list(dict.fromkeys(skeletons))
    if len(skeletons) == 1:
        return skeletons[0]

    def merged(field):
        found = [entry for skeleton in skeletons for entry in getattr(skeleton, field)]
        return tuple(dict.fromkeys(found))

    def pairs(field):
        found = merged(field)
        return tuple(p for i, p in enumerate(found) if p[::-1] not in found[:i])

    names = merged("names")
    sigmas: dict[str, float] = {}
    for skeleton in reversed(skeletons):
        sigmas |= dict(zip(skeleton.names, skeleton.oks_sigmas, strict=False))
    return Skeleton(
        "+".join(skeleton.name for skeleton in skeletons),
        names,
        pairs("mirrored"),
        pairs("limbs"),
        merged("upper_body"),
        tuple(sigmas[name] for name in names) if set(names) <= set(sigmas) else (),
    )


def map_dataset(dataset: PoseDataset, target: Skeleton) -> PoseDataset:
    """Returns the data set with its people's keypoints sorted into another skeleton.

    Raises:
        ValueError: when they have no keypoint in common.
    """
    if dataset.skeleton == target:
        return dataset
    records = map_records(dataset.records, dataset.skeleton, target, dataset.name)
    return dataclasses.replace(
        dataset, skeleton=target, records=records, has_coco_file=False
    )


def for_model(dataset: PoseDataset, skeleton: Skeleton) -> PoseDataset:
    """Returns the data set as a model of that skeleton can be measured on it.

    A model that predicts all of the set's keypoints, and maybe more, is measured on the
    set as it is. Else the set keeps what the model predicts of it, and its name says
    so: such figures are not those of the whole set.

    Raises:
        ValueError: when they have no keypoint in common.
    """
    names = dataset.skeleton.names
    common = set(names) & set(skeleton.names)
    if len(common) == len(names):
        return dataset
    mapped = map_dataset(dataset, skeleton)
    name = f"{dataset.name} ({len(common)} of {len(names)} keypoints)"
    return dataclasses.replace(mapped, name=name)


def with_uniform_sigmas(dataset: PoseDataset) -> PoseDataset:
    """Returns the data set with equal OKS sigmas; its name then says so.

    Raises:
        ValueError: if it has sigmas of its own.
    """
    skeleton = dataset.skeleton.with_uniform_sigmas()
    name = f"{dataset.name} (sigmas of {UNIFORM_SIGMA:g})"
    return dataclasses.replace(dataset, name=name, skeleton=skeleton)


def target_skeleton(mix: Mix) -> Skeleton:
    """Returns the skeleton that a mix is trained on."""
    return mix.skeleton or union_skeleton(
        own_skeleton(name, data_dir, mix.reading) if is_own(name) else SPECS[name].skeleton
        for name, data_dir in zip(mix.names, mix.data_dirs, strict=True)
    )


def _reading(mix: Mix, name: str) -> Reading:
    """Returns the options of the user where a set takes them."""
    return mix.reading if is_own(name) or SPECS[name].has_coco_file else AS_WRITTEN


def _open(mix: Mix, name: str, split: str, is_whole: bool = False) -> PoseDataset:
    """Opens one set of a mix, with its own keypoints."""
    reading = _reading(mix, name)
    data_dir = mix.data_dirs[mix.names.index(name)]
    is_builtin = mix.skeleton is None or mix.skeleton in SKELETONS.values()
    # Files in COCO's format may hold keypoints of one's own.
    skeleton = None
    if (name == "coco" or is_own(name)) and mix.is_single and not is_builtin:
        skeleton = mix.skeleton
    if is_own(name):
        skeleton = skeleton or own_skeleton(name, data_dir, reading)
        dataset = open_dataset("coco", data_dir, split, skeleton, reading, is_whole)
        return dataclasses.replace(dataset, name=name)
    return open_dataset(name, data_dir, split, skeleton, reading, is_whole)


def one_set(word: str, data_dir=None) -> tuple[str, str | None]:
    """Reads the words of the command line for one data set, which may be "mine=FOLDER".

    Returns:
        Its name, and its folder; None for the usual one.

    Raises:
        ValueError: for several, and as `parse_mix`.
    """
    mix = parse_mix(word, data_dir)
    if not mix.is_single:
        raise ValueError(
            f"This is done on one data set at a time, got {', '.join(mix.names)}."
        )
    return mix.names[0], mix.data_dirs[0]


def open_set(
    name: str,
    data_dir,
    split: str,
    skeleton: Skeleton | None = None,
    reading: Reading = AS_WRITTEN,
) -> PoseDataset:
    """Opens a split of a data set, which may be one's own; see `open_dataset`."""
    if not is_own(name):
        return open_dataset(name, data_dir, split, skeleton, reading)
    skeleton = skeleton or own_skeleton(name, data_dir, reading)
    opened = open_dataset("coco", data_dir, split, skeleton, reading)
    return dataclasses.replace(opened, name=name)


def open_set_for(
    name: str,
    data_dir,
    split: str,
    skeleton: Skeleton,
    reading: Reading = AS_WRITTEN,
) -> PoseDataset:
    """Opens a split of a data set, which may be one's own, for a model's keypoints.

    A set of one's own is read with the model's skeleton, and its OKS sigmas, where both
    have the same names; else with its own. See `open_for_skeleton` for all others.
    """
    if not is_own(name):
        return open_for_skeleton(name, data_dir, split, skeleton, reading)
    own = own_skeleton(name, data_dir, reading)
    if set(own.names) == set(skeleton.names):
        own = skeleton
    elif is_numbered(skeleton):
        open_for_skeleton("coco", data_dir, split, skeleton, reading)  # refuses
    return open_set(name, data_dir, split, own, reading)


def open_train(mix: Mix, keeps_unlabelled: bool = False) -> list[PoseDataset]:
    """Opens the training split of every set, sorted into the mix's skeleton.

    A set without a training split is refused. The extended Leeds Sports Poses are
    trained on as a whole where another set validates.

    Args:
        mix: the sets.
        keeps_unlabelled: True to keep people with boxes and no keypoints, of files in
            COCO's format.
    """
    reading = dataclasses.replace(mix.reading, keeps_unlabelled=keeps_unlabelled)
    mix = dataclasses.replace(mix, reading=reading)
    validating = None if mix.is_single else validating_name(mix)
    splits = {
        name: "all" if name != validating and _has_all(name) else "train"
        for name in mix.names
    }
    if mix.is_single:
        splits = {mix.names[0]: "train"}
    target = target_skeleton(mix)
    return [
        map_dataset(_open(mix, name, split, validating not in (None, name)), target)
        for name, split in splits.items()
    ]


def _has_all(name: str) -> bool:
    """Returns True if a set is given out without a split for validation."""
    return not is_own(name) and "all" in SPECS[name].splits


def validating_name(mix: Mix) -> str:
    """Returns the first set with an official validation or test split, else the first."""
    own = [name for name in mix.names if not _has_all(name)]
    return (own or list(mix.names))[0]


def open_val(mix: Mix) -> PoseDataset:
    """Opens the split that a mix validates on, see `validating_name`."""
    return map_dataset(_open(mix, validating_name(mix), "val"), target_skeleton(mix))


def validating_set(mix: Mix) -> tuple[str, str | None, Reading]:
    """Returns the name of the set that a mix validates on, its folder and its options."""
    name = validating_name(mix)
    return name, mix.data_dirs[mix.names.index(name)], _reading(mix, name)


def open_measured(mix: Mix) -> PoseDataset:
    """Opens the same split as a model of the mix is measured on it, see `for_model`."""
    return for_model(_open(mix, validating_name(mix), "val"), target_skeleton(mix))
