"""What programs share: arguments, plain errors, quiet libraries, words of `keras-pose`."""

from keras_pose.commandline.programs import (
    plain_errors,
    positive_float,
    positive_int,
    some_of,
)

__all__ = ["plain_errors", "positive_float", "positive_int", "some_of"]
