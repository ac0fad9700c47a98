"""`create_model`: a model of the zoo, with weights if wanted."""

from __future__ import annotations

from pathlib import Path

from keras_pose.zoo import build_model


def create_model(
    name: str,
    num_keypoints: int | None = None,
    input_hw: tuple[int, int] | None = None,
    weights: str | Path | None = None,
):
    """Builds a model of the zoo.

    Args:
        name: one of `zoo.list_models()`.
        num_keypoints: see `zoo.build_model`.
        input_hw: model input (height, width), pixels; None for the model's default.
        weights: `.keras` or `.weights.h5` file of this model with the same
            `num_keypoints`, at any input size; None for a random start.

    Returns:
        A `keras.Model`, see `zoo.build_model`.

    Raises:
        ValueError: if an argument is not valid, or the file does not fit the model.
        FileNotFoundError: if `weights` does not exist.
    """
    model = build_model(name, num_keypoints, input_hw)
    if weights is not None:
        from keras_pose.models.checkpoint import load_weights

        load_weights(model, weights)
    return model
