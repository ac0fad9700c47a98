"""Heatmap losses: `keras.losses.Loss` with one value per keypoint.

`call` returns (B, K), so Keras' own `sample_weight` of that shape is the weight of
the keypoints, and "sum_over_batch_size" is the mean over people and keypoints:
the reduction of `JointsMSELoss` in the HRNet code (`lib/core/loss.py`). That code
multiplies prediction and target by the weight before squaring; for weights 0 and
1, which are all that codecs give, that is the same.

A stacked model is compiled with one loss per stack; Keras adds them up.
"""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_pose")
class JointsMSE(keras.losses.Loss):
    """Half the mean squared error of each keypoint's heatmap.

    Source: `JointsMSELoss` of the HRNet and Simple Baselines code.
    """

    def __init__(self, name="joints_mse", reduction="sum_over_batch_size", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        """Maps two (B, H, W, K) tensors to (B, K)."""
        return 0.5 * ops.mean(ops.square(y_pred - y_true), axis=(1, 2))


@keras.saving.register_keras_serializable("keras_pose")
class FocusedMSE(keras.losses.Loss):
    """Squared error, weighted by the target so that the few pixels of a peak count.

    `(y + delta) ** gamma * (y - p) ** 2`, averaged over the pixels. (The paper does
    not say sum or mean; with Adam the factor between them has no effect.)

    Source: Xu & Feng 2020, focused MSE loss.

    Attributes:
        gamma: how strongly the target weighs; 0 gives plain squared error.
        delta: weight of the background, where the target is 0.
    """

    def __init__(self, gamma=1.0, delta=1e-3, name="focused_mse", **kwargs):
        super().__init__(name=name, **kwargs)
        if gamma < 0 or delta < 0:
            raise ValueError(
                f"Focused MSE needs gamma >= 0 and delta >= 0, got {gamma}, {delta}."
            )
        self.gamma = gamma
        self.delta = delta

    def call(self, y_true, y_pred):
        """Maps two (B, H, W, K) tensors to (B, K)."""
        focus = ops.power(y_true + self.delta, self.gamma)
        return ops.mean(focus * ops.square(y_pred - y_true), axis=(1, 2))

    def get_config(self):
        return super().get_config() | {"gamma": self.gamma, "delta": self.delta}


@keras.saving.register_keras_serializable("keras_pose")
class OHKM(keras.losses.Loss):
    """Joints MSE of each person's hardest keypoints only (online hard keypoint mining).

    Source: Chen et al. 2018 (arXiv:1711.07319), sec. 3.3; digits as
    `JointsOHKMMSELoss` of the HRNet code: the mean over the `top_k` keypoints with the
    largest weighted loss.

    Attributes:
        top_k: keypoints that count, per person.
    """

    def __init__(self, top_k=8, name="ohkm", **kwargs):
        super().__init__(name=name, **kwargs)
        if top_k < 1:
            raise ValueError(f"OHKM needs top_k >= 1, got {top_k}.")
        self.top_k = top_k
        self._joints = JointsMSE(reduction=None)

    def __call__(self, y_true, y_pred, sample_weight=None):
        # Weights act before the choice, else unlabelled keypoints would be "hard".
        losses = self._joints(y_true, y_pred, sample_weight)
        if losses.shape[-1] < self.top_k:
            raise ValueError(
                f"OHKM with top_k={self.top_k} needs that many keypoints, "
                f"got {losses.shape[-1]}."
            )
        return ops.mean(ops.top_k(losses, self.top_k)[0])

    def call(self, y_true, y_pred):
        """Maps two (B, H, W, K) tensors to (B, K), before the choice."""
        return self._joints(y_true, y_pred)

    def get_config(self):
        return super().get_config() | {"top_k": self.top_k}


LOSSES = {"joints_mse": JointsMSE, "focused_mse": FocusedMSE, "ohkm": OHKM}
