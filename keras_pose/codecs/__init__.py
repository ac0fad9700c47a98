"""Codecs turn keypoints into network targets and network outputs into keypoints."""

from keras_pose.codecs.base import Codec
from keras_pose.codecs.dark import DarkHeatmapCodec
from keras_pose.codecs.gaussian import GaussianHeatmapCodec
from keras_pose.codecs.regression import RegressionCodec
from keras_pose.codecs.simcc import SimccCodec
from keras_pose.codecs.udp import UdpHeatmapCodec, UdpOffsetCodec

__all__ = [
    "CODECS",
    "Codec",
    "DarkHeatmapCodec",
    "GaussianHeatmapCodec",
    "RegressionCodec",
    "SimccCodec",
    "UdpHeatmapCodec",
    "UdpOffsetCodec",
    "codec_from_dict",
]

CODECS: dict[str, type[Codec]] = {
    codec.kind: codec
    for codec in (
        GaussianHeatmapCodec,
        DarkHeatmapCodec,
        UdpHeatmapCodec,
        UdpOffsetCodec,
        SimccCodec,
        RegressionCodec,
    )
}


def codec_from_dict(values: dict) -> Codec:
    """Builds a codec from what its `to_dict` wrote.

    Raises:
        ValueError: for an unknown kind or unknown fields.
    """
    # JSON has no tuples, and codecs no lists.
    fields = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
    }
    kind = fields.pop("kind", None)
    if kind not in CODECS:
        raise ValueError(f"Unknown codec kind {kind!r}; known kinds: {sorted(CODECS)}.")
    try:
        return CODECS[kind](**fields)
    except TypeError as error:
        raise ValueError(
            f"Codec {kind!r} cannot take {sorted(fields)}: {error}."
        ) from error
