"""Keypoints that a file has decoded itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn, Self

import numpy as np

from keras_pose.codecs.codec import Codec


@dataclass(frozen=True)
class DecodedCodec(Codec):
    """Three numbers a keypoint: x and y in input pixels, and the score.

    The codec of files exported with their decoding inside. Networks are not trained for
    it: there is no target, and no loss that fits.

    Attributes:
        decoded_by: kind of the codec in the file's graph, such as "dark".
        is_unbiased: True if crops of the codec in the graph are cut by UDP's map.
    """

    decoded_by: str = "gaussian"
    is_unbiased: bool = False  # type: ignore[misc]  # here files differ, not codecs

    kind = "decoded"
    output_name = "decoded"
    losses = ()

    @classmethod
    def for_input(cls, input_hw, stride: int = 4) -> Self:
        return cls((int(input_hw[0]), int(input_hw[1])))

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        return num_keypoints, 3

    def count_keypoints(self, output_shape) -> int:
        return output_shape[-2]

    def encode(self, keypoints_xy, visibility) -> NoReturn:
        """Raises ValueError: nothing is trained on decoded keypoints."""
        raise ValueError(
            "Codec 'decoded' is of files that decode in their graph; networks are trained "
            f"with the codec inside, here {self.decoded_by!r}."
        )

    encode_tf = encode

    def decode(self, outputs) -> tuple[Any, Any]:
        """Takes x, y and score apart; see `Codec.decode`."""
        outputs = np.asarray(outputs, np.float32)
        if outputs.shape[-1] != 3:
            raise ValueError(
                "The codec expects x, y and score per keypoint, got "
                f"{outputs.shape[-1]} numbers."
            )
        return outputs[..., :2], outputs[..., 2]

    def flip_back(self, outputs, mirror_permutation):
        """Exchanges left and right, and mirrors x about the middle of the pixels.

        Column x of a mirrored image is column width - 1 - x of the image. Averaging then
        is one of coordinates, as in `RegressionCodec`; a flip test of the file that gives
        maps averages maps, which is not quite the same.
        """
        outputs = np.asarray(outputs)[..., mirror_permutation, :]
        mirrored_x = self.input_hw[1] - 1 - outputs[..., :1]
        return np.concatenate([mirrored_x, outputs[..., 1:]], axis=-1)
