"""`create_model`: a model of the zoo, with weights if wanted."""

from __future__ import annotations

from pathlib import Path

from keras_pose.shipped import SHIPPED, network_of_model
from keras_pose.skeleton import Skeleton
from keras_pose.weights.catalog import get_entry, is_word
from keras_pose.zoo import build_model, get_spec


def create_model(
    name: str,
    num_keypoints: int | None = None,
    input_hw: tuple[int, int] | None = None,
    weights: str | Path | None = None,
    skeleton: Skeleton | None = None,
    visibility: bool | None = None,
):
    """Builds a model of the zoo.

        create_model("hrnet_w32", weights="coco")
        create_model("hrnet_w32", num_keypoints=5, weights="coco")  # with a new head

    Official weights are downloaded and converted on first use, and kept, see
    `weights.download`. What they demand of the image (order of channels included)
    travels with the model: `weights.provenance.normalization_of` and `contract_of`.

    Args:
        name: one of `zoo.list_models()`.
        num_keypoints: number of keypoints, K; None for that of the weights. If the weights
            have another number, the layers that depend on it start at random, and a printed
            line names them.
        input_hw: model input (height, width), pixels; None for what the weights were
            trained at, if they say, or the model's default. For another size the
            positions of a ViTPose are interpolated, and a printed line says so.
        weights: a word of `weights.catalog`, such as "coco", "mpii" or "imagenet" (a
            backbone), "shipped" for those that come with the package, or a file of this
            model: `.keras`, `.weights.h5`, or a reference checkpoint (`.pth`, `.pt`,
            `.npz`). None for a random start. A checkpoint of a backbone alone leaves the
            head at random, and so does the `.keras` file of another network on the same
            trunk; a printed line says so.
        skeleton: names of the keypoints that are to be trained. Weights for others get a
            new head, in which rows of keypoints of the same name are kept, and a printed
            line says so. None where only the number counts.

    Returns:
        A `keras.Model`, see `zoo.build_model`.

    Raises:
        ValueError: if an argument is not valid, or the file does not fit the model.
        FileNotFoundError: if `weights` does not exist.
        weights.download.DownloadError: if they cannot be had; says what to do by hand.
    """
    model = _with_weights(name, num_keypoints, input_hw, weights, skeleton)
    if visibility is None:
        return model
    from keras_pose.weights.heads import with_head_for_visibility

    return with_head_for_visibility(model, visibility, skeleton)


def _with_weights(name: str, num_keypoints, input_hw, weights, skeleton):
    """Builds a model as its weights are; see `create_model`."""
    if weights is None:
        return build_model(name, num_keypoints, input_hw)
    # Imported here: Keras takes seconds, and bad arguments are to be refused before.
    get_spec(name)
    if weights == SHIPPED:
        weights = network_of_model(name)
    if not is_word(weights):
        from keras_pose.weights.weight_files import model_from_file

        return model_from_file(name, num_keypoints, input_hw, weights, skeleton)
    entry = get_entry(name, str(weights))
    from keras_pose.weights.weight_files import model_from_entry

    return model_from_entry(entry, num_keypoints, input_hw, skeleton)
