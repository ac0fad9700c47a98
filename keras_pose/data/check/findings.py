"""`Finding`: one kind of thing that is suspicious about a set, and where it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.commandline import some_of
from keras_pose.data.readers.coco_people import CocoPeople
from keras_pose.skeleton import Skeleton

ERROR, WARNING = "error", "warning"
_NAMED = 3


@dataclass(frozen=True)
class Spot:
    """A place to look at: a picture, or one person in it.

    Attributes:
        split: split of the picture.
        path: file of the picture.
        person: index among the people of the split; None for the whole picture.
        annotation_id: id of the person in the file; None for the whole picture.
    """

    split: str
    path: Path
    person: int | None = None
    annotation_id: Any = None

    def __str__(self) -> str:
        who = "" if self.annotation_id is None else f" (annotation id {self.annotation_id})"
        return f"{self.split} {self.path.name}{who}"


@dataclass(frozen=True)
class Finding:
    """One kind of thing that is suspicious.

    Attributes:
        kind: short name, also that of its sheet of pictures.
        text: description of it and of its effect on training, with {} for the count.
        spots: pictures and people that show it; () for what holds of the set as a whole.
        level: "error" for what training would refuse, or is surely wrong; "warning".
        count: number of occurrences; None for the number of spots.
    """

    kind: str
    text: str
    spots: Sequence[Spot] = ()
    level: str = WARNING
    count: int | None = None

    @property
    def total(self) -> int:
        """Number of occurrences."""
        return len(self.spots) if self.count is None else self.count

    @property
    def words(self) -> str:
        """The text with its count."""
        return self.text.replace("{}", f"{self.total:,}")

    def __str__(self) -> str:
        where = f": {some_of(self.spots, _NAMED)}" if self.spots else ""
        return f"{self.level:8} {self.kind}: {self.words}{where}"

    def as_json(self) -> dict[str, Any]:
        """Returns the finding with all its places, as JSON has them."""
        return {
            "kind": self.kind,
            "level": self.level,
            "count": self.total,
            "text": self.words,
            "where": [
                {
                    "split": spot.split,
                    "picture": str(spot.path),
                    "annotation_id": spot.annotation_id,
                }
                for spot in self.spots
            ],
        }


@dataclass(frozen=True)
class Split:
    """One split as it stands in its file, unchecked.

    Attributes:
        name: "train", "val" or "test".
        people: all annotations of the category.
        names: file names below `folder` by image index, of the pictures that are there.
        folder: folder that names start from.
        skeleton: the K keypoints.
    """

    name: str
    people: CocoPeople
    names: dict[int, str]
    folder: Path
    skeleton: Skeleton

    def path(self, image: int) -> Path:
        """Returns the file of a picture by its index."""
        name = self.names.get(image, str(self.people.images.names[image]))
        return self.folder / name

    def spot(self, person: int) -> Spot:
        """Returns the place of a person."""
        path = self.path(int(self.people.image_index[person]))
        return Spot(self.name, path, int(person), self.people.ids[person])

    def picture(self, image: int) -> Spot:
        """Returns the place of a picture."""
        return Spot(self.name, self.path(image))
