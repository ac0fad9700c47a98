"""How good a model is: OKS, COCO AP and AR, and the evaluator for any model file."""

from keras_pose.metrics.coco_ap import COCO_STATS, evaluate_coco
from keras_pose.metrics.evaluator import EvaluationResult, evaluate
from keras_pose.metrics.oks import object_keypoint_similarity, oks_nms

__all__ = [
    "COCO_STATS",
    "EvaluationResult",
    "evaluate",
    "evaluate_coco",
    "object_keypoint_similarity",
    "oks_nms",
]
