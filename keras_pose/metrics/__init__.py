"""Measures of a model: every metric by name, and the evaluator for any model file."""

from keras_pose.metrics.coco_ap import COCO_STATS, evaluate_coco
from keras_pose.metrics.evaluator import NMS, EvaluationResult, evaluate
from keras_pose.metrics.official import METRICS, default_metrics, measurable_metrics
from keras_pose.pictures.oks import object_keypoint_similarity, oks_nms, soft_oks_nms

__all__ = [
    "COCO_STATS",
    "METRICS",
    "NMS",
    "EvaluationResult",
    "default_metrics",
    "evaluate",
    "evaluate_coco",
    "measurable_metrics",
    "object_keypoint_similarity",
    "oks_nms",
    "soft_oks_nms",
]
