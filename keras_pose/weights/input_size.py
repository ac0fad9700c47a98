"""Weights of networks that are made for one input size, at another one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_pose.models.vitpose import PATCH_SIZE
from keras_pose.zoo import ModelSpec

POSITIONS = "pos_embed"
# Layers with weights for every place of the input, or of the output.
PLACE_LAYERS = {
    "rtmpose": ("mlp-1", "cls_x", "cls_y"),
    "rtmw": ("mlp-1", "mlp2-1", "cls_x", "cls_y"),
    "deep_pose_alexnet": ("fc6",),
}
# Coefficient of the cubic kernel; PyTorch's, which the reference resizes with.
CUBIC_SHARPNESS = -0.75


def check_places(spec: ModelSpec, model, shapes: Mapping[str, tuple], source) -> None:
    """Refuses weights for another input size, where no rule makes them fit.

    Args:
        spec: row of the model in the zoo.
        model: built for the input size that is wanted.
        shapes: layer name -> shape of its kernel in Keras' axis order, as found.
        source: origin of the weights, for messages.

    Raises:
        ValueError: if a layer with weights for every place has them for other places.
    """
    wrong = [
        name
        for name in PLACE_LAYERS.get(spec.family, ())
        if name in shapes and shapes[name] != tuple(model.get_layer(name).kernel.shape)
    ]
    if wrong:
        height, width = model.inputs[0].shape[1:3]
        raise ValueError(
            f"{source} does not fit {spec.name} with an input of {height} x {width} "
            f"pixels: {', '.join(wrong)} have a weight for every place, so the weights are "
            f"for one input size only{_trained_at(spec, shapes)}. Use that size, or train "
            "anew."
        )


def _trained_at(spec: ModelSpec, shapes) -> str:
    """Returns the input size of RTMPose's or RTMW's weights; "" for other families."""
    if not (spec.family in ("rtmpose", "rtmw") and {"cls_x", "cls_y"} <= set(shapes)):
        return ""
    from keras_pose.models.rtmpose import SPLIT_RATIO

    height, width = (shapes[name][-1] // SPLIT_RATIO for name in ("cls_y", "cls_x"))
    return f", {height} x {width}"


def fit_positions(spec: ModelSpec, embedding, trained_hw, input_hw, source) -> np.ndarray:
    """Interpolates the position embedding of a ViTPose for another input size.

    Source: Dosovitskiy et al. 2021 (arXiv:2010.11929), sec. 3.2; bicubic like mmpretrain's.

    Args:
        spec: row of the model in the zoo.
        embedding: (1, N, C) array, a row for each patch of the input it was trained for.
        trained_hw: size of that input (height, width), pixels; None if it is not known:
            then the wanted one if the number of rows fits, or else the model's default.
        input_hw: the input that is wanted (height, width), pixels.
        source: origin of the embedding, for messages.

    Returns:
        (1, M, C) float32 array, a row for each patch of the wanted input. A printed line
        tells, if it is not what came.

    Raises:
        ValueError: if there are not as many rows as the input it was trained for has
            patches.
    """
    new = _patches(input_hw)
    if trained_hw is None and embedding.shape[1:2] == (new[0] * new[1],):
        return embedding
    old = _patches(trained_hw or spec.input_hw)
    if embedding.ndim != 3 or embedding.shape[1] != old[0] * old[1]:
        raise ValueError(
            f"{source} does not fit {spec.name}: {POSITIONS} must have a row for each of "
            f"the {old[0]} x {old[1]} patches of its input, it has the shape "
            f"{embedding.shape}."
        )
    if old == new:
        return embedding
    print(
        f"{spec.name}: the positions of {source} are interpolated from {old[0]} x {old[1]} "
        f"to {new[0]} x {new[1]} patches."
    )
    grid = embedding.reshape(*old, -1).astype("float32")
    grid = np.einsum("ij,jkc->ikc", cubic_matrix(old[0], new[0]), grid)
    grid = np.einsum("ij,kjc->kic", cubic_matrix(old[1], new[1]), grid)
    return grid.reshape(1, -1, grid.shape[-1])


def _patches(hw) -> tuple[int, int]:
    return hw[0] // PATCH_SIZE, hw[1] // PATCH_SIZE


def cubic_matrix(size: int, new_size: int) -> np.ndarray:
    """Returns the weights (new_size, size) float32 of old samples in new ones.

    Source: Keys 1981 (doi:10.1109/TASSP.1981.1163711), eq. 15; corners of the images meet,
    as with align_corners=False, and the outermost samples go on beyond the edge.
    """
    places = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    matrix = np.zeros((new_size, size))
    for offset in range(-1, 3):
        taps = np.floor(places).astype(int) + offset
        columns = np.clip(taps, 0, size - 1)
        matrix[np.arange(new_size), columns] += _cubic(np.abs(places - taps))
    return matrix.astype("float32")


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Evaluates the kernel at distances of 0 to 2 samples."""
    a, d = CUBIC_SHARPNESS, distance
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, far)
