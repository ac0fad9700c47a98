"""New heads on trained bodies: for another number of keypoints, or for others.

Keypoints are the same if their names are. What a layer computes of one of them are rows of
its weights, which go along where both heads have the name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_pose.models.visibility import (
    has_visibility,
    head_layers,
    with_visibility,
    without_visibility,
)
from keras_pose.skeleton import Skeleton, is_numbered
from keras_pose.weights.layouts import (
    OWN_FAMILIES,
    count_keypoints,
    final_layer,
    layer_name,
)
from keras_pose.weights.provenance import (
    ATTRIBUTE,
    contract_of,
    provenance_of,
    set_provenance,
)
from keras_pose.zoo import ModelSpec, build_model, get_spec

# Places (new, old) of a keypoint that both heads predict.
Pairs = Sequence[tuple[int, int]]


def with_head_for_visibility(model, is_wanted: bool, skeleton: Skeleton | None = None):
    """Returns the model with a head for visibility, or without one.

    Args:
        model: model of the zoo, with what it carries.
        is_wanted: whether it is to have the head; one that it has stays.
        skeleton: names of its keypoints; None for those that its weights name, or else
            their number in its outputs.

    Raises:
        ValueError: for a network that is not of one person's heatmaps or SimCC vectors.
    """
    if has_visibility(model) == is_wanted:
        return model
    if get_spec(model.name).task != "top_down":
        raise ValueError(
            "A head for visibility is for networks that see one person; "
            f"{model.name} is for {get_spec(model.name).task}."
        )
    carried = getattr(model, ATTRIBUTE, None)
    if is_wanted:
        named = skeleton or contract_of(model).skeleton
        changed = with_visibility(model, named.num_keypoints)
    else:
        changed = without_visibility(model)
    return changed if carried is None else set_provenance(changed, carried)


def with_stored_head(model, stored, path):
    """Returns the model with the head for visibility that a file has; itself without one.

    Args:
        model: model of the zoo, with what it carries, and the keypoints of the file.
        stored: layer name -> tensors of the file, those of the head alone.
        path: the file, for messages.

    Raises:
        ValueError: for tensors that do not fit.
    """
    if not stored:
        return model
    changed = with_head_for_visibility(model, True)
    for layer in head_layers(changed):
        expected = [tuple(weight.shape) for weight in layer.weights]
        found = [array.shape for array in stored.get(layer.name, ())]
        if found != expected:
            raise ValueError(
                f"{path} does not fit {model.name}: layer {layer.name} has the shapes "
                f"{expected}, in the file {found}."
            )
        layer.set_weights(stored[layer.name])
    return changed


def predicting_layer(spec: ModelSpec) -> str:
    """Returns the layer of ours that gives the (last) outputs.

    Raises:
        ValueError: for networks of which there is none.
    """
    own = OWN_FAMILIES.get(spec.family)
    return own or layer_name(final_layer(spec))


def num_predicted(model) -> int:
    """Returns the keypoints (or classes) that a model with a reference predicts."""
    spec = get_spec(model.name)
    layer = model.get_layer(predicting_layer(spec))
    return count_keypoints(spec, layer.weights[0].shape[-1])


def with_keypoints(model, num_keypoints: int | None, skeleton: Skeleton | None = None):
    """Returns the model, or one with its body and a new head; a printed line says so.

    Args:
        model: model of the zoo, with what it carries.
        num_keypoints: number of keypoints, K; None for that of the model.
        skeleton: names of the keypoints that are wanted; None if their number is all that
            counts.
    """
    if num_keypoints is None:
        return model
    found, provenance = num_predicted(model), provenance_of(model)
    known = provenance.skeleton
    if known is not None and is_numbered(known):
        known = None
    if num_keypoints == found:
        if skeleton is not None and known is None:
            print(
                f"{model.name}: {provenance.source} does not say which {found} keypoints "
                f"it predicts: its head is kept, and trained on those of {skeleton.name}."
            )
        if skeleton is None or known is None or known.names == skeleton.names:
            return model
    if has_visibility(model):
        print(f"{model.name}: its head for visibility is of other keypoints, and left out.")
        model = set_provenance(without_visibility(model), provenance)
    changed = _built_for(model, num_keypoints)
    # A network for yet another number shows which weights depend on it.
    other = changed if num_keypoints != found else _built_for(model, found + 1)
    pairs = _shared(known, skeleton) if known and skeleton else []
    units = _units(known, found), _units(skeleton, num_keypoints)
    if units[0] != units[1]:
        pairs = []
    new_layers = _move(model, changed, other, _Rows(found, num_keypoints, units[0], pairs))
    provenance = dataclasses.replace(provenance, codec=None, skeleton=skeleton)
    _tell(model, known, skeleton, num_keypoints, new_layers, pairs)
    return set_provenance(changed, provenance)


def _built_for(model, num_keypoints: int):
    if get_spec(model.name).needs_trunk:
        from keras_pose.models.trunks import with_new_head

        return with_new_head(model, num_keypoints)
    return build_model(model.name, num_keypoints, model.inputs[0].shape[1:3])


def _shared(known: Skeleton, skeleton: Skeleton) -> Pairs:
    return [
        (i, known.names.index(name))
        for i, name in enumerate(skeleton.names)
        if name in known.names
    ]


def _units(skeleton: Skeleton | None, num_keypoints: int) -> float:
    """Returns the maps of a keypoint where a network is built for more maps than keypoints,
    as for UDP with offsets.
    """
    return num_keypoints / skeleton.num_keypoints if skeleton else 1.0


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Rows of a head that the new head takes over.

    Attributes:
        old, new: numbers of keypoints that networks are built for.
        units: maps of each keypoint among these.
        pairs: places of keypoints.
    """

    old: int
    new: int
    units: float
    pairs: Pairs


def _move(model, changed, other, rows: _Rows) -> list[str]:
    """Copies what does not depend on the keypoints, and shared rows of the rest.

    Returns:
        The names of the layers that depend on them.
    """
    new_layers = []
    for layer in changed.layers:
        values = model.get_layer(layer.name).get_weights()
        shapes = [tuple(w.shape) for w in other.get_layer(layer.name).weights]
        if [value.shape for value in values] == shapes:
            layer.set_weights(values)
            continue
        new_layers.append(layer.name)
        if rows.pairs:
            step = num_predicted(other) - rows.old
            layer.set_weights(
                [
                    _with_rows(start, value, shape, step, rows)
                    for start, value, shape in zip(
                        layer.get_weights(), values, shapes, strict=True
                    )
                ]
            )
    return new_layers


def _with_rows(start, value, other_shape, step: int, rows: _Rows) -> np.ndarray:
    """Puts rows of trained weights into those of a random start.

    Args:
        start: weights of the new head.
        value: weights of the trained head.
        other_shape: shape of the same for `step` keypoints more than the trained head's.
        step: number of keypoints that `other_shape` has more.
        rows: rows that go along; what follows those of the keypoints, as a background does,
            goes along, too.
    """
    axes = [i for i, size in enumerate(value.shape) if size != other_shape[i]]
    if len(axes) != 1:
        return start if axes else value
    (axis,) = axes
    per_keypoint = (other_shape[axis] - value.shape[axis]) // step
    new, old = np.moveaxis(start, axis, 0).copy(), np.moveaxis(value, axis, 0)
    new[per_keypoint * rows.new :] = old[per_keypoint * rows.old :]
    size = round(per_keypoint * rows.units)
    for i, j in rows.pairs:
        new[i * size : (i + 1) * size] = old[j * size : (j + 1) * size]
    return np.moveaxis(new, 0, axis)


def _tell(model, known, skeleton, num_keypoints, new_layers, pairs) -> None:
    spec, source = get_spec(model.name), provenance_of(model).source
    noun = spec.counts.removeprefix("num_")
    of_known = f" of {known.name}" if known and skeleton else ""
    of_new = f" of {skeleton.name}" if skeleton else ""
    layers = ", ".join(new_layers)
    start = "at random"
    if pairs:
        start = f"at random but for the rows of the {len(pairs)} that share a name"
    print(
        f"{spec.name}: the weights of {source} are for {num_predicted(model)} {noun}"
        f"{of_known}, so for {num_keypoints}{of_new} these layers start {start}: {layers}."
    )
