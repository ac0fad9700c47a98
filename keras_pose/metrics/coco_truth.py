"""The people of a ground truth and of detections, as pycocotools compares them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from keras_pose.data.records import Id
from keras_pose.metrics.numbering import number_ids, sorted_ids

_PERSON = 1  # the only category that pycocotools sees


class CocoTruth:
    """Annotations of one category, which pycocotools knows by numbers of their own.

    Images are numbered in the order of their ids, people in that of the file, so that
    figures are those of the file's own ids where these are numbers from 1.

    Attributes:
        images: the entries of the images by their ids.
        annotations: entries of the file, unchanged. What pycocotools writes, it writes into
            copies.
        category_id: id of the category in the file.
    """

    def __init__(
        self,
        images: Sequence[dict[str, Any]],
        annotations: Sequence[dict[str, Any]],
        category_id: Id,
    ):
        self.images = {image["id"]: image for image in images}
        self.annotations = list(annotations)
        self.category_id = category_id
        self._numbers = number_ids(sorted_ids(self.images))

    def evaluation(self, detections: Sequence[dict[str, Any]], kind: str, image_ids=None):
        """Prepares a `COCOeval` of pycocotools.

        Args:
            detections: COCO results of images that are there; those of another category
                do not count.
            kind: "keypoints" or "bbox".
            image_ids: images that count; all by default.

        Raises:
            ValueError: for an image that counts and is not there, or where all detections
                are of another category.
        """
        from pycocotools.cocoeval import COCOeval

        found = [each for each in detections if each["category_id"] == self.category_id]
        if detections and not found:
            others = sorted_ids(each["category_id"] for each in detections)
            raise ValueError(
                f"None of the {len(detections)} detections is of the ground truth's "
                f"category {self.category_id!r}: their category_id is "
                f"{', '.join(map(repr, others[:5]))}."
            )
        evaluation = COCOeval(self._index(self.annotations), self._results(found), kind)
        if image_ids is not None:
            evaluation.params.imgIds = self._number(image_ids)
        return evaluation

    def _number(self, image_ids) -> list[int]:
        absent = [each for each in image_ids if each not in self._numbers]
        if absent:
            raise ValueError(f"The ground truth lacks the image ids {absent[:5]}.")
        return sorted(self._numbers[each] for each in set(image_ids))

    def _index(self, entries):
        """Returns a `COCO` of entries, of which those of images that are there count."""
        from pycocotools.coco import COCO

        coco = COCO()
        there = [each for each in entries if each["image_id"] in self._numbers]
        coco.dataset = {
            "images": [{"id": number} for number in self._numbers.values()],
            "annotations": [
                self._numbered(entry) | {"id": i} for i, entry in enumerate(there, start=1)
            ],
            "categories": [{"id": _PERSON, "name": "person"}],
        }
        with silence():
            coco.createIndex()
        return coco

    def _results(self, detections):
        empty = self._index([])
        if not detections:  # loadRes looks into the first detection, and there is none
            return empty
        with silence():
            return empty.loadRes([self._numbered(each) for each in detections])

    def _numbered(self, entry):
        number = self._numbers[entry["image_id"]]
        return entry | {"image_id": number, "category_id": _PERSON}


def run_silently(evaluation):
    """Runs a `COCOeval` to its end, without its printing, and returns it."""
    with silence():
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def silence():
    """pycocotools prints its progress and its table to standard output."""
    return contextlib.redirect_stdout(io.StringIO())
