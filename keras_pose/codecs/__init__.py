"""Codecs turn keypoints into network targets and network outputs into keypoints."""

from keras_pose.codecs.dark import DarkHeatmapCodec
from keras_pose.codecs.gaussian import GaussianHeatmapCodec, flip_back

__all__ = [
    "CODECS",
    "DarkHeatmapCodec",
    "GaussianHeatmapCodec",
    "codec_from_dict",
    "flip_back",
]

CODECS = {codec.kind: codec for codec in (GaussianHeatmapCodec, DarkHeatmapCodec)}


def codec_from_dict(values: dict) -> GaussianHeatmapCodec:
    """Builds a codec from what its `to_dict` wrote.

    Raises:
        ValueError: for an unknown kind or unknown fields.
    """
    fields = dict(values)
    kind = fields.pop("kind", None)
    if kind not in CODECS:
        raise ValueError(f"Unknown codec kind {kind!r}; known kinds: {sorted(CODECS)}.")
    fields["input_hw"] = tuple(fields.get("input_hw", ()))
    try:
        return CODECS[kind](**fields)
    except TypeError as error:
        raise ValueError(
            f"Codec {kind!r} cannot take {sorted(fields)}: {error}."
        ) from error
