"""Losses: `keras.losses.Loss` with one value per keypoint.

`call` returns (B, K), so Keras' own `sample_weight` of that shape is the weight of
the keypoints, and "sum_over_batch_size" is the mean over people and keypoints:
the reduction of `JointsMSELoss` in the HRNet code (`lib/core/loss.py`). That code
multiplies prediction and target by the weight before squaring; for weights 0 and
1, which are all that codecs give, that is the same.

A loss fits certain codecs, which name it in their `losses` and say in
`loss_settings` which arguments it needs. A stacked model is compiled with one loss per
stack; Keras adds them up.
"""

from __future__ import annotations

from abc import abstractmethod

import keras
from keras import ops


class HeatmapLoss(keras.losses.Loss):
    """A comparison of heatmaps, and of offsets where there are any.

    Attributes:
        has_offsets: maps come in threes, of which the second and third are x and y
            offsets. They add half their mean squared error, times the squared first
            map of the target: only within its disc do they mean anything. Source:
            `JointsMSELoss_offset` of UDP-Pose (`lib/core/loss.py`), both parts added.
    """

    def __init__(self, has_offsets=False, **kwargs):
        super().__init__(**kwargs)
        self.has_offsets = has_offsets

    @abstractmethod
    def compare(self, y_true, y_pred):
        """Maps two (B, H, W, K) tensors to (B, K)."""

    def call(self, y_true, y_pred):
        """Maps two (B, H, W, K) tensors, or (B, H, W, 3K) with offsets, to (B, K)."""
        if not self.has_offsets:
            return self.compare(y_true, y_pred)
        disc, offset_x, offset_y = (y_true[..., i::3] for i in range(3))
        error_x = disc * (y_pred[..., 1::3] - offset_x)
        error_y = disc * (y_pred[..., 2::3] - offset_y)
        squares = ops.square(error_x) + ops.square(error_y)
        offsets = 0.5 * ops.mean(squares, axis=(1, 2))
        return self.compare(disc, y_pred[..., ::3]) + offsets

    def get_config(self):
        return super().get_config() | {"has_offsets": self.has_offsets}


@keras.saving.register_keras_serializable("keras_pose")
class JointsMSE(HeatmapLoss):
    """Half the mean squared error of each keypoint's heatmap.

    Source: `JointsMSELoss` of the HRNet and Simple Baselines code.
    """

    def __init__(self, name="joints_mse", reduction="sum_over_batch_size", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def compare(self, y_true, y_pred):
        return 0.5 * ops.mean(ops.square(y_pred - y_true), axis=(1, 2))


@keras.saving.register_keras_serializable("keras_pose")
class FocusedMSE(HeatmapLoss):
    """Squared error, weighted by the target so that the few pixels of a peak count.

    `(y + delta) ** gamma * (y - p) ** 2`, averaged over the pixels. (The paper does
    not say sum or mean; with Adam the factor between them has no effect.)

    Source: Xu & Feng 2020, focused MSE loss.

    Attributes:
        gamma: strength of the weighting by the target; 0 gives plain squared error.
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

    def compare(self, y_true, y_pred):
        focus = ops.power(y_true + self.delta, self.gamma)
        return ops.mean(focus * ops.square(y_pred - y_true), axis=(1, 2))

    def get_config(self):
        return super().get_config() | {"gamma": self.gamma, "delta": self.delta}


@keras.saving.register_keras_serializable("keras_pose")
class AdaptiveWing(HeatmapLoss):
    """Adaptive wing loss: steep for small errors near a peak, square in the background.

    Source: Wang et al. 2019 (arXiv:1904.07399), eq. 4, and the weights of pixels around
    peaks of sec. 4.3 (a dilation of 3x3 pixels). Averaged over the pixels.

    Attributes:
        omega: height of the logarithmic part.
        theta: error at which it becomes a line.
        epsilon: width of the logarithmic part.
        alpha: exponent where the target is 0; over 2, so that it stays over 1 at a peak.
        peak_weight: addition to the weight of pixels around a peak.
    """

    # Target from which on a pixel, and its neighbours, belong to a peak.
    PEAK = 0.2

    def __init__(
        self,
        omega=14.0,
        theta=0.5,
        epsilon=1.0,
        alpha=2.1,
        peak_weight=10.0,
        name="adaptive_wing",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not (min(omega, theta, epsilon) > 0 and alpha > 2 and peak_weight >= 0):
            raise ValueError(
                "Adaptive wing needs omega, theta and epsilon > 0, alpha > 2 and "
                f"peak_weight >= 0, got {omega}, {theta}, {epsilon}, {alpha} and "
                f"{peak_weight}."
            )
        self.omega, self.theta, self.epsilon = omega, theta, epsilon
        self.alpha, self.peak_weight = alpha, peak_weight

    def compare(self, y_true, y_pred):
        error = ops.abs(y_pred - y_true)
        power = self.alpha - y_true
        edge = self.theta / self.epsilon
        slope = power * ops.power(edge, power - 1.0) / self.epsilon
        slope *= self.omega / (1.0 + ops.power(edge, power))
        offset = self.theta * slope - self.omega * ops.log1p(ops.power(edge, power))
        near = self.omega * ops.log1p(ops.power(error / self.epsilon, power))
        loss = ops.where(error < self.theta, near, slope * error - offset)
        around = ops.max_pool(y_true, 3, 1, "same", data_format="channels_last")
        is_peak = ops.cast(around >= self.PEAK, loss.dtype)
        return ops.mean(loss * (1.0 + self.peak_weight * is_peak), axis=(1, 2))

    def get_config(self):
        return super().get_config() | {
            "omega": self.omega,
            "theta": self.theta,
            "epsilon": self.epsilon,
            "alpha": self.alpha,
            "peak_weight": self.peak_weight,
        }


@keras.saving.register_keras_serializable("keras_pose")
class OHKM(JointsMSE):
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
        self._joints = JointsMSE(has_offsets=self.has_offsets, reduction=None)

    def __call__(self, y_true, y_pred, sample_weight=None):
        # Weights act before the choice, else unlabelled keypoints would be "hard".
        losses = self._joints(y_true, y_pred, sample_weight)
        if losses.shape[-1] < self.top_k:
            raise ValueError(
                f"OHKM with top_k={self.top_k} needs that many keypoints, "
                f"got {losses.shape[-1]}."
            )
        return ops.mean(ops.top_k(losses, self.top_k)[0])

    def get_config(self):
        return super().get_config() | {"top_k": self.top_k}


@keras.saving.register_keras_serializable("keras_pose")
class SimccKL(keras.losses.Loss):
    """Kullback-Leibler divergence of two softmaxes per keypoint, over x and over y.

    Per axis the mean over bins of `t * (log t - log softmax(beta * predicted))`, with
    `t = softmax(label_beta * target)`; x and y are added up.

    Source: `KLDiscretLoss` of mmpose with RTMPose's settings. It divides the sum over
    people and keypoints by the number of keypoints; Keras' mean divides by the number
    of people as well, so ours times the batch size is theirs.

    Attributes:
        num_bins_x: number of bins along x; they come first.
        beta: factor on what is predicted.
        label_beta: factor on the target; None takes the target for a distribution.
    """

    def __init__(self, num_bins_x, beta=10.0, label_beta=10.0, name="simcc_kl", **kwargs):
        super().__init__(name=name, **kwargs)
        if num_bins_x < 1 or beta <= 0 or (label_beta is not None and label_beta <= 0):
            raise ValueError(
                "SimCC's loss needs num_bins_x >= 1 and both betas above 0, got "
                f"{num_bins_x}, {beta}, {label_beta}."
            )
        self.num_bins_x = num_bins_x
        self.beta = beta
        self.label_beta = label_beta

    def call(self, y_true, y_pred):
        """Maps two (B, K, X + Y) tensors to (B, K)."""
        x, y = slice(None, self.num_bins_x), slice(self.num_bins_x, None)
        along_x = self._divergence(y_true[..., x], y_pred[..., x])
        return along_x + self._divergence(y_true[..., y], y_pred[..., y])

    def _divergence(self, target, predicted):
        log_predicted = ops.log_softmax(self.beta * predicted, axis=-1)
        if self.label_beta is None:
            # 0 log 0 is 0.
            log_target = ops.log(ops.where(target > 0, target, 1.0))
        else:
            log_target = ops.log_softmax(self.label_beta * target, axis=-1)
            target = ops.exp(log_target)
        return ops.mean(target * (log_target - log_predicted), axis=-1)

    def get_config(self):
        return super().get_config() | {
            "num_bins_x": self.num_bins_x,
            "beta": self.beta,
            "label_beta": self.label_beta,
        }


@keras.saving.register_keras_serializable("keras_pose")
class L1(keras.losses.Loss):
    """Mean absolute error of x and y."""

    def __init__(self, name="l1", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        """Maps two (B, K, 2) tensors to (B, K)."""
        return ops.mean(ops.abs(y_pred - y_true), axis=-1)


@keras.saving.register_keras_serializable("keras_pose")
class L2(keras.losses.Loss):
    """Mean squared error of x and y. Source: Toshev & Szegedy 2014, eq. 3."""

    def __init__(self, name="l2", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        """Maps two (B, K, 2) tensors to (B, K)."""
        return ops.mean(ops.square(y_pred - y_true), axis=-1)


@keras.saving.register_keras_serializable("keras_pose")
class SmoothL1(keras.losses.Loss):
    """Mean of `d ** 2 / (2 beta)` up to an error of `beta`, and of `|d| - beta / 2` beyond.

    Coordinates that are shares of the input differ by less than 1, so mmpose's beta of
    1, the default, makes it half of L2.

    Source: Girshick 2015 (arXiv:1504.08083), eq. 3; `SmoothL1Loss` of mmpose, the loss
    of its DeepPose.

    Attributes:
        beta: error at which the parabola ends, in the unit of the targets.
    """

    def __init__(self, beta=1.0, name="smooth_l1", **kwargs):
        super().__init__(name=name, **kwargs)
        if beta <= 0:
            raise ValueError(f"Smooth L1 needs beta > 0, got {beta}.")
        self.beta = beta

    def call(self, y_true, y_pred):
        """Maps two (B, K, 2) tensors to (B, K)."""
        error = ops.abs(y_pred - y_true)
        near, far = 0.5 * ops.square(error) / self.beta, error - 0.5 * self.beta
        return ops.mean(ops.where(error < self.beta, near, far), axis=-1)

    def get_config(self):
        return super().get_config() | {"beta": self.beta}


@keras.saving.register_keras_serializable("keras_pose")
class VisibilityCrossEntropy(keras.losses.Loss):
    """Cross-entropy of the kind of each keypoint: visible, hidden, or outside.

    `call` returns one value per keypoint, so that `sample_weight` (B, K) leaves out those
    of unknown kind.
    """

    def __init__(self, name="visibility_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        """Maps (B, K) kinds, below 0 where unknown, and (B, K, 3) logits to (B, K)."""
        kinds = ops.cast(ops.maximum(y_true, 0), "int32")
        log_shares = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)
        return -ops.take_along_axis(log_shares, kinds[..., None], axis=-1)[..., 0]


LOSSES = {
    "joints_mse": JointsMSE,
    "focused_mse": FocusedMSE,
    "adaptive_wing": AdaptiveWing,
    "ohkm": OHKM,
    "simcc_kl": SimccKL,
    "smooth_l1": SmoothL1,
    "l1": L1,
    "l2": L2,
}


@keras.saving.register_keras_serializable("keras_pose")
class MaskedMaps(keras.losses.Loss):
    """Half the squared error of maps of whole pictures, added up, per picture.

    `call` returns one value per cell, so that `sample_weight` (B, h, w) is the mask of
    regions that do not count. Source: `l2_loss` of lightweight OpenPose
    (`modules/loss.py`).
    """

    def __init__(self, name="masked_maps", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        """Maps two (B, h, w, C) tensors to (B, h, w), times the number of cells."""
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        # The mean over cells, which Keras takes, is then their sum.
        num_cells = y_pred.shape[1] * y_pred.shape[2]
        return ops.sum(ops.square(y_pred - y_true), axis=-1) * (num_cells / 2)
