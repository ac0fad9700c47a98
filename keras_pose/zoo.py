"""The model zoo: one row per network, and the door through which they are made."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_pose.codecs import CODECS, GaussianHeatmapCodec
from keras_pose.normalization import IMAGENET, Normalization

HRNET_PAPER = "Sun et al. 2019, arXiv:1902.09212"
SIMPLE_BASELINE_PAPER = "Xiao et al. 2018, arXiv:1804.06208"
HOURGLASS_PAPER = "Newell et al. 2016, arXiv:1603.06937"
SLIM_PAPER = "our own design, see keras_pose/models/slim.py"


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a network before it is built.

    Attributes:
        name: name in the zoo, also the Keras model's.
        family: which builder makes it, see `create_model`.
        options: what distinguishes it within its family, passed to the builder.
        input_hw: default model input (height, width), pixels.
        params: weights and biases, those of batch norm included and its running
            statistics not, for 17 keypoints.
        macs: multiply-accumulates of the convolutions for one `input_hw` image and 17
            keypoints; a transposed convolution is counted at its input positions.
        paper: where the network is described.
        num_keypoints: keypoints of the reference's own checkpoints.
        stride: input pixels per heatmap pixel.
        input_multiple: height and width of the input must be multiples of it, pixels.
        codec: key of `keras_pose.codecs.CODECS`, what it is trained with.
        normalization: what training from scratch uses. Converted weights bring their
            own, see `keras_pose.weights`.
    """

    name: str
    family: str
    input_hw: tuple[int, int]
    params: int
    macs: int
    paper: str
    options: Mapping[str, Any] = field(default_factory=dict)
    num_keypoints: int = 17
    stride: int = 4
    input_multiple: int = 32
    codec: str = "gaussian"
    normalization: Normalization = IMAGENET

    def make_codec(self, input_hw=None) -> GaussianHeatmapCodec:
        """Returns the usual codec, for an input size in pixels or the default one."""
        return CODECS[self.codec].for_input(input_hw or self.input_hw, self.stride)


_SPECS = (
    ModelSpec(
        name="hrnet_w32",
        family="hrnet",
        options={"width": 32},
        input_hw=(256, 192),
        params=28_536_113,
        macs=7_645_003_776,
        paper=HRNET_PAPER,
    ),
    ModelSpec(
        name="hrnet_w48",
        family="hrnet",
        options={"width": 48},
        input_hw=(256, 192),
        params=63_595_745,
        macs=15_691_825_152,
        paper=HRNET_PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet18",
        family="simple_baseline",
        options={"depth": 18},
        input_hw=(256, 192),
        params=15_376_721,
        macs=2_897_215_488,
        paper=SIMPLE_BASELINE_PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet34",
        family="simple_baseline",
        options={"depth": 34},
        input_hw=(256, 192),
        params=25_484_881,
        macs=4_709_154_816,
        paper=SIMPLE_BASELINE_PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet50",
        family="simple_baseline",
        options={"depth": 50},
        input_hw=(256, 192),
        params=33_999_697,
        macs=5_426_380_800,
        paper=SIMPLE_BASELINE_PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet101",
        family="simple_baseline",
        options={"depth": 101},
        input_hw=(256, 192),
        params=52_991_825,
        macs=9_062_842_368,
        paper=SIMPLE_BASELINE_PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet152",
        family="simple_baseline",
        options={"depth": 152},
        input_hw=(256, 192),
        params=68_635_473,
        macs=12_699_303_936,
        paper=SIMPLE_BASELINE_PAPER,
    ),
    ModelSpec(
        name="hourglass_1",
        family="hourglass",
        options={"num_stacks": 1},
        input_hw=(256, 256),
        params=3_587_217,
        macs=5_805_703_168,
        paper=HOURGLASS_PAPER,
        num_keypoints=16,
        input_multiple=64,
    ),
    ModelSpec(
        name="hourglass_2",
        family="hourglass",
        options={"num_stacks": 2},
        input_hw=(256, 256),
        params=6_731_682,
        macs=8_992_063_488,
        paper=HOURGLASS_PAPER,
        num_keypoints=16,
        input_multiple=64,
    ),
    ModelSpec(
        name="hourglass_8",
        family="hourglass",
        options={"num_stacks": 8},
        input_hw=(256, 256),
        params=25_598_472,
        macs=28_110_225_408,
        paper=HOURGLASS_PAPER,
        num_keypoints=16,
        input_multiple=64,
    ),
    ModelSpec(
        name="pose_slim",
        family="slim",
        input_hw=(256, 192),
        params=1_841_729,
        macs=403_243_008,
        paper=SLIM_PAPER,
        codec="dark",  # rounded targets cost most at small inputs
    ),
)
ZOO: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}


def list_models() -> list[str]:
    """Returns the names `create_model` knows."""
    return list(ZOO)


def get_spec(name: str) -> ModelSpec:
    """Looks a model up.

    Raises:
        ValueError: if there is none of that name; near names are suggested.
    """
    if name not in ZOO:
        near = difflib.get_close_matches(str(name), ZOO, n=3, cutoff=0.4)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"There is no model {name!r}.{hint} All models: {', '.join(ZOO)}.")
    return ZOO[name]


def create_model(
    name: str,
    num_keypoints: int = 17,
    input_hw: tuple[int, int] | None = None,
    weights: str | Path | None = None,
):
    """Builds a model of the zoo.

    Args:
        name: one of `list_models()`.
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels; None for the model's default.
        weights: `.keras` or `.weights.h5` file of this model with the same
            `num_keypoints`, at any input size; None for a random start.

    Returns:
        A `keras.Model` from a float32 (B, H, W, 3) tensor "image", normalised as
        `get_spec(name).normalization` says, to (B, H / 4, W / 4, K) heatmaps, or to a
        list of them, one per stack, for a network of several stacks.

    Raises:
        ValueError: if an argument is not valid, or the file does not fit the model.
        FileNotFoundError: if `weights` does not exist.
    """
    spec = get_spec(name)
    _check_num_keypoints(num_keypoints)
    input_hw = spec.input_hw if input_hw is None else _checked_input_hw(spec, input_hw)
    model = _build(spec, num_keypoints, input_hw)
    if weights is not None:
        from keras_pose.models.checkpoint import load_weights

        load_weights(model, weights)
    return model


def _build(spec: ModelSpec, num_keypoints: int, input_hw: tuple[int, int]):
    # Imported here: Keras takes seconds, and `list_models()` must not.
    build: Callable[..., Any]
    match spec.family:
        case "hrnet":
            from keras_pose.models.hrnet import build_hrnet as build
        case "simple_baseline":
            from keras_pose.models.simple_baseline import build_simple_baseline as build
        case "hourglass":
            from keras_pose.models.hourglass import build_hourglass as build
        case "slim":
            from keras_pose.models.slim import build_slim as build
        case _:
            raise ValueError(f"{spec.name} is of an unknown family {spec.family!r}.")
    return build(
        num_keypoints=num_keypoints,
        input_hw=input_hw,
        name=spec.name,
        **spec.options,
    )


def _check_num_keypoints(num_keypoints: int) -> None:
    if isinstance(num_keypoints, bool) or int(num_keypoints) != num_keypoints:
        raise ValueError(f"num_keypoints must be a whole number, got {num_keypoints!r}.")
    if num_keypoints < 1:
        raise ValueError(f"num_keypoints must be at least 1, got {num_keypoints}.")


def _checked_input_hw(spec: ModelSpec, input_hw) -> tuple[int, int]:
    """Returns (height, width) as a tuple of ints."""
    rule = (
        f"input_hw of {spec.name} must be (height, width), "
        f"positive multiples of {spec.input_multiple}"
    )
    try:
        height, width = (int(size) for size in input_hw)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule}, got {input_hw!r}.") from error
    if (height, width) != tuple(input_hw) or min(height, width) < 1:
        raise ValueError(f"{rule}, got {input_hw!r}.")
    if height % spec.input_multiple or width % spec.input_multiple:
        raise ValueError(f"{rule}, got {(height, width)}.")
    return height, width
