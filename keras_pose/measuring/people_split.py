"""Networks that see one person at a time, measured by the data set's own metrics."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_pose.data import PoseDataset, coco_ground_truth
from keras_pose.data.mixing import (
    for_model,
    open_set,
    open_set_for,
    with_uniform_sigmas,
)
from keras_pose.measuring.finding import (
    Finder,
    find_people,
    image_folder,
    pipeline_tables,
    time_pipeline,
)
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.measuring.split import Measured, Split
from keras_pose.metrics import METRICS, EvaluationResult, default_metrics, evaluate
from keras_pose.metrics.detected_boxes import box_records, read_boxes
from keras_pose.metrics.protocol import Boxes, Measurement, build_protocol
from keras_pose.runtime.loading import open_model
from keras_pose.skeleton import Skeleton
from keras_pose.weights.file_kinds import split_table


def open_people(
    settings: MeasureSettings, skeleton: Skeleton, finder: Finder | None = None
) -> PeopleSplit:
    """Opens a split for models of one skeleton.

    Args:
        settings: the data, and how to measure.
        skeleton: keypoints of the models.
        finder: detector that finds the people; None for labelled boxes, or the file of
            boxes of the settings.

    Raises:
        ValueError: for an unknown data set, or one that does not fit.
        FileNotFoundError: when it is not there.
    """
    if settings.skeleton is None:
        opened = open_set_for(*settings.where, skeleton, settings.reading)
    else:
        opened = open_set(*settings.where, settings.skeleton, settings.reading)
    return PeopleSplit(opened, settings, skeleton, finder)


class PeopleSplit(Split[Measurement, EvaluationResult]):
    """Labelled people, with the boxes that they are cut out by."""

    def __init__(
        self,
        dataset: PoseDataset,
        settings: MeasureSettings,
        skeleton: Skeleton,
        finder: Finder | None = None,
    ):
        """Leaves of an opened data set what models predict of it.

        Args:
            dataset: the split, with its own keypoints.
            settings: people, metrics and how to measure; the data set is that above.
            skeleton: keypoints of the models.
            finder: detector that finds the people; None for none.
        """
        self._settings, self._finder = settings, finder
        part = for_model(dataset, skeleton)
        is_mapped = part is not dataset
        truth = coco_ground_truth(part)
        self._found = None
        if finder is not None:
            whole = coco_ground_truth(dataset) if is_mapped else truth
            self._found = find_people(finder, dataset, whole, settings.limit)
        self._records, self._labelled, self._image_ids = self._whom(part, truth)
        if settings.sigmas:
            part = with_uniform_sigmas(part)
        chosen = settings.metrics
        if not chosen:
            # A set as it is must have what its metrics need; of a part, what can be is
            # measured.
            is_whole = not (is_mapped or settings.only_main)
            chosen, self.reason = default_metrics(part, is_whole)
        self._metrics = chosen[:1] if settings.only_main else chosen
        self._dataset, self._truth = part, truth
        main = METRICS.get(self._metrics[0])
        if main is not None:  # `evaluate` names those that are unknown
            self.figure = self.label = main.columns[0]
            self.lower_is_better = main.lower_is_better
        self.description = f"{len(self._records)} people of {part.name} {part.split}"
        self.remarks = tuple(self._remarks(dataset, skeleton, is_mapped))

    def _remarks(self, dataset, skeleton, is_mapped):
        extra = skeleton.num_keypoints - dataset.skeleton.num_keypoints
        if is_mapped:
            yield (
                f"keypoints   measured on {self._dataset.name}: the model has no others "
                "of them"
            )
        elif extra:
            yield f"keypoints   {extra} of the model's are not in {dataset.name}: unused"
        if self.reason:
            yield f"measure     {self.reason}"

    def _whom(self, dataset, truth):
        """Returns whom to predict, the labelled people, and the images that count."""
        settings = self._settings
        labelled, image_ids = dataset.records, None
        if settings.limit is not None:
            image_ids = dataset.first_images(settings.limit)
            labelled = dataset.in_first_images(settings.limit).records
        if settings.boxes is None and self._found is None:
            return labelled, labelled, image_ids
        of_boxes = (
            truth,
            image_folder(dataset.records[0], truth),
            dataset.skeleton.num_keypoints,
            settings.box_threshold,
        )
        if self._finder is not None and self._found is not None:
            known = {image["id"] for image in truth["images"]}
            entries = [each for each in self._found.detections if each["image_id"] in known]
            return box_records(entries, self._finder.path, *of_boxes), labelled, image_ids
        records = read_boxes(settings.boxes, *of_boxes)
        if image_ids is not None:
            records = [each for each in records if each.image_id in set(image_ids)]
        return records, labelled, image_ids

    @property
    def _is_detected(self) -> bool:
        return self._settings.boxes is not None or self._finder is not None

    def open(self, path, contract):
        return open_model(path, contract)

    def evaluate(self, model, progress: bool = True) -> EvaluationResult:
        settings = self._settings
        return evaluate(
            model.predict,
            self._seen(model.contract),
            self._records,
            self._truth,
            metrics=self._metrics,
            labelled=self._labelled if self._is_detected else None,
            skeleton=self._dataset.skeleton,
            nms=settings.nms,
            flip_test=settings.flip_test,
            batch_size=settings.batch_size,
            progress=progress,
            image_ids=self._image_ids,
        )

    def _seen(self, contract):
        """Returns the contract with the crops of the settings."""
        padding = self._settings.box_padding
        if padding is None:
            return contract
        return dataclasses.replace(contract, box_padding=padding)

    def measure(self, model, path, progress: bool = True) -> Measured:
        # The first run builds the graph, which is no time of the model's.
        model.predict(np.zeros((1, *model.contract.input_hw, 3), np.uint8))
        result = self.evaluate(model, progress)
        protocol = build_protocol(
            self._dataset,
            self._seen(model.contract),
            split_table(path)[0],
            result,
            self._settings.limit is not None,
            self._boxes(),
        )
        if self._finder is None or self._found is None:
            return Measured(Measurement.of(result, protocol), result)
        # Of images without a person found, too.
        protocol = dataclasses.replace(protocol, num_images=self._found.num_images)
        contract, flip_test = self._seen(model.contract), self._settings.flip_test
        times = time_pipeline(
            self._finder, model.predict, contract, self._records, flip_test
        )
        tables = pipeline_tables(self._found, times)
        return Measured(Measurement.of(result, protocol, tables), result)

    def _boxes(self) -> Boxes | None:
        threshold = self._settings.box_threshold
        if self._finder is not None:
            path, settings = self._finder.path, self._finder.settings
            return Boxes.of_detector(path, threshold, settings)
        if self._settings.boxes is not None:
            return Boxes.of_file(self._settings.boxes, threshold)
        return None
