"""The catalogue of official weights: what there is, from where, and what it wants to see.

`catalog.json` holds facts only, read off the publishers' pages and configurations; each
row names its source. An address is offered for no other model than the one whose file
lies there.
"""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.codecs import CODECS
from keras_pose.files import file_sha256, read_json
from keras_pose.pictures.normalization import Normalization
from keras_pose.weights.file_kinds import CHECKPOINT_ENDINGS
from keras_pose.weights.network_files import NETWORK_ENDINGS
from keras_pose.zoo import ZOO, get_spec

CATALOG_PATH = Path(__file__).with_name("catalog.json")


@dataclass(frozen=True)
class CatalogEntry:
    """One file of official weights.

    Attributes:
        model: zoo name.
        weights: the word for it, such as "coco" or "coco_384x288". The plain word
            stands for the weights at the usual input size.
        input_hw: input size of its training, (height, width) in pixels; None for a
            backbone, which fits any.
        num_keypoints: number of keypoints it predicts (classes, for a network that has
            those instead); None for a backbone, which comes without a head.
        skeleton: name of the keypoints, a key of `skeleton.SKELETONS`; None if it has
            none, or another task.
        codec: key of `codecs.CODECS`; None for other tasks.
        url: its address; None where a shared folder is all there is.
        file_name: its name there, and in the cache.
        found_in: the shared folder to fetch it from by hand.
        package: the Python package that holds the file, as pip knows it; None where there
            is none.
        num_bytes: its size, where a download was recorded.
        sha256: beginnings of its SHA-256; several where publishers replaced the file; empty
            where nothing reliable is known.
        sha256_from: source of these hashes.
        licence: licence in the publisher's words.
        trained_on: data sets.
        metric: name of the reported figure; None where none is.
        value: reported figure, in [0, 1].
        protocol: circumstances of the reported figure.
        source: pages that state all this.
        normalization: normalisation of the network's training.
    """

    model: str
    weights: str
    input_hw: tuple[int, int] | None
    num_keypoints: int | None
    skeleton: str | None
    codec: str | None
    url: str | None
    file_name: str
    found_in: str | None
    num_bytes: int | None
    sha256: tuple[str, ...]
    sha256_from: str
    licence: str
    trained_on: str
    metric: str | None
    value: float | None
    protocol: str | None
    source: str
    normalization: Normalization
    package: str | None = None

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> CatalogEntry:
        return cls(
            **row
            | {
                "input_hw": row["input_hw"] and tuple(row["input_hw"]),
                "sha256": tuple(row["sha256"]),
                "normalization": Normalization.from_dict(row["normalization"]),
            }
        )

    @property
    def is_backbone(self) -> bool:
        """True if the file fills a backbone only, and the head starts at random."""
        return self.num_keypoints is None

    @property
    def is_usable(self) -> bool:
        """True if this version of keras_pose has the network and the codec."""
        return self.model in ZOO and (self.codec is None or self.codec in CODECS)


@functools.cache
def all_entries() -> tuple[CatalogEntry, ...]:
    """Returns every row of the catalogue, usable or not."""
    return tuple(CatalogEntry.from_dict(row) for row in read_json(CATALOG_PATH))


def entries_of(model: str) -> list[CatalogEntry]:
    """Returns the weights of a model, the usual ones first."""
    return [entry for entry in all_entries() if entry.model == model and entry.is_usable]


def get_entry(model: str, weights: str) -> CatalogEntry:
    """Looks weights up.

    Raises:
        ValueError: if there is no such model or word; names those that there are.
    """
    get_spec(model)
    known = {entry.weights: entry for entry in entries_of(model)}
    if weights in known:
        return known[weights]
    near = difflib.get_close_matches(weights, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    words = ", ".join(map(repr, known)) or "none"
    raise ValueError(
        f"There are no weights {weights!r} for {model}.{hint} Known words: {words}. "
        f"A file is told by its ending (.keras, .weights.h5, "
        f"{', '.join((*CHECKPOINT_ENDINGS, *NETWORK_ENDINGS))})."
    )


def entry_of_file(model: str, path) -> CatalogEntry | None:
    """Returns the row of a model that a file is, found by its hash; None for others."""
    entries = [entry for entry in entries_of(model) if entry.sha256]
    if not entries:
        return None
    digits = file_sha256(path)
    return next((e for e in entries if digits.startswith(e.sha256)), None)


def is_word(weights) -> bool:
    """Returns True for a word of the catalogue, False for the path of a file."""
    return isinstance(weights, str) and weights.isidentifier()
