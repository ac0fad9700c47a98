"""Codecs turn keypoints into network targets and network outputs into keypoints."""

from keras_pose.codecs.codec import Codec
from keras_pose.codecs.dark import DarkHeatmapCodec
from keras_pose.codecs.decoded import DecodedCodec
from keras_pose.codecs.gaussian import GaussianHeatmapCodec
from keras_pose.codecs.regression import RegressionCodec
from keras_pose.codecs.simcc import SimccCodec
from keras_pose.codecs.udp import UdpHeatmapCodec, UdpOffsetCodec

__all__ = [
    "CODECS",
    "Codec",
    "DarkHeatmapCodec",
    "DecodedCodec",
    "GaussianHeatmapCodec",
    "RegressionCodec",
    "SimccCodec",
    "UdpHeatmapCodec",
    "UdpOffsetCodec",
    "codec_class",
    "codec_from_dict",
]

# Codecs that a network can be trained with.
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

# Codecs that a file's contract may name besides.
_OF_FILES: dict[str, type[Codec]] = {**CODECS, DecodedCodec.kind: DecodedCodec}


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
    codec = codec_class(fields.pop("kind", None))
    try:
        return codec(**fields)
    except TypeError as error:
        raise ValueError(
            f"Codec {codec.kind!r} cannot take {sorted(fields)}: {error}."
        ) from error


def codec_class(kind) -> type[Codec]:
    """Returns the codec of a kind.

    Raises:
        ValueError: for an unknown one.
    """
    if kind not in _OF_FILES:
        raise ValueError(f"Unknown codec kind {kind!r}; known kinds: {sorted(_OF_FILES)}.")
    return _OF_FILES[kind]
