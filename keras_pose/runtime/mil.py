"""Runs the program of a Core ML package on any machine, operator by operator.

Apple's runtime exists on Apple's systems alone. What it is asked to compute is a program in
MIL, whose operators are documented (coremltools, "MIL Ops"); here TensorFlow computes them,
and half-precision results are rounded as such. It is slow, and meant to measure and to
check what a package holds, not how an Apple device rounds within an operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# MIL's own limit of relu6.
SIX = 6.0
_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
# Modes in which a resize samples as TensorFlow's, which looks at the middle of pixels.
_HALF_PIXEL_MODES = ("UNALIGN_CORNERS", "DEFAULT")


class Program:
    """The main function of a MIL program.

    Attributes:
        inputs: names of its inputs, in order.
        outputs: names of its outputs, in order.

    Raises:
        ValueError: for operators that are not known here; names them all.
    """

    def __init__(self, program: Any):
        function = program.functions["main"]
        self.inputs = tuple(function.inputs)
        self.outputs = tuple(var.name for var in function.outputs)
        self._operations = list(function.operations)
        unknown = {op.op_type for op in self._operations} - {"const", *OPERATORS}
        if unknown:
            raise ValueError(
                f"The Core ML package needs operators that only Apple's runtime has: "
                f"{', '.join(sorted(unknown))}."
            )

    def __call__(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Computes the outputs.

        Args:
            values: input name -> array, as the program's input has it.

        Returns:
            Output name -> array, in its own type.
        """
        known: dict[str, Any] = {name: np.asarray(values[name]) for name in self.inputs}
        for operation in self._operations:
            if operation.op_type == "const":
                (output,) = operation.outputs
                known[output.name] = output.val
                continue
            arguments = {
                name: _value(given, known) for name, given in operation.inputs.items()
            }
            results = OPERATORS[operation.op_type](**arguments)
            if not isinstance(results, (tuple, list)):
                results = (results,)
            for output, result in zip(operation.outputs, results, strict=True):
                known[output.name] = _rounded(result, output)
        return {name: known[name] for name in self.outputs}


def _value(given, known):
    if isinstance(given, (tuple, list)):
        return [_value(one, known) for one in given]
    if given is None:
        return None
    value = known.get(given.name)
    return given.val if value is None else value


def _rounded(result, output) -> np.ndarray:
    """Returns a result in the type that the program gives it."""
    from coremltools.converters.mil.mil import types

    array = np.asarray(result)
    kind = output.dtype
    if types.is_str(kind):
        return array
    return array.astype(types.nptype_from_builtin(kind))


def _float(x) -> tf.Tensor:
    return tf.convert_to_tensor(np.asarray(x, np.float32))


def _nhwc(x) -> tf.Tensor:
    return tf.transpose(_float(x), _TO_NHWC)


def _nchw(x) -> np.ndarray:
    return tf.transpose(x, _TO_NCHW).numpy()


def _word(value) -> str:
    """Returns a string that may come as an array of one."""
    return str(np.asarray(value).reshape(-1)[0]) if value is not None else ""


def _numbers(value) -> list[int]:
    return [int(number) for number in np.asarray(value).reshape(-1)]


def _paddings(pad_type, pad, num_sides=2):
    """Returns TensorFlow's padding for a MIL pad type and its numbers."""
    kind = _word(pad_type)
    if kind in ("same", "valid", ""):
        return kind.upper() or "VALID"
    if kind != "custom":
        raise ValueError(f"Padding {kind!r} of a Core ML package is not known here.")
    numbers = _numbers(pad)
    pairs = [(numbers[2 * i], numbers[2 * i + 1]) for i in range(num_sides)]
    return [(0, 0), *pairs, (0, 0)]


def _padded(x, padding, value=0.0):
    """Returns an NHWC tensor with explicit paddings added, and what is left to do."""
    if isinstance(padding, str):
        return x, padding
    return tf.pad(x, padding, constant_values=value), "VALID"


def _conv(
    x,
    weight,
    bias=None,
    strides=(1, 1),
    pad_type=None,
    pad=None,
    dilations=(1, 1),
    groups=1,
):
    strides, dilations = _numbers(strides), _numbers(dilations)
    groups = int(np.asarray(groups).item())
    x, padding = _padded(_nhwc(x), _paddings(pad_type, pad))
    kernel = tf.transpose(_float(weight), (2, 3, 1, 0))  # from OIHW to HWIO
    if groups > 1 and kernel.shape[2] == 1 and groups == x.shape[-1]:
        # Depthwise: TensorFlow has the multiplier as the last axis.
        multiplier = kernel.shape[3] // groups
        kernel = tf.reshape(kernel, (*kernel.shape[:2], groups, multiplier))
        y = tf.nn.depthwise_conv2d(
            x, kernel, [1, *strides, 1], padding, dilations=dilations
        )
    else:
        parts = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
        y = tf.concat(
            [tf.nn.conv2d(part, part_kernel, strides, padding, dilations=dilations)
             for part, part_kernel in parts], -1)  # fmt: skip
    return _nchw(y if bias is None else y + _float(bias))


def _conv_transpose(
    x, weight, bias=None, strides=(1, 1), pad_type=None, pad=None, output_shape=None,
    dilations=(1, 1), groups=1,
):  # fmt: skip
    if int(np.asarray(groups).item()) != 1 or any(n != 1 for n in _numbers(dilations)):
        raise ValueError("Transposed convolutions in groups are not known here.")
    strides = _numbers(strides)
    x, kernel = _nhwc(x), tf.transpose(_float(weight), (2, 3, 1, 0))  # IOHW to HWOI
    height, width = x.shape[1:3]
    wanted = None if output_shape is None else _numbers(output_shape)[-2:]
    kind = _word(pad_type)
    if kind == "same":
        size = wanted or [height * strides[0], width * strides[1]]
        shape = (x.shape[0], *size, kernel.shape[2])
        y = tf.nn.conv2d_transpose(x, kernel, shape, strides, "SAME")
    else:
        full = [
            (side - 1) * stride + extent
            for side, stride, extent in zip(
                (height, width), strides, kernel.shape[:2], strict=True
            )
        ]
        shape = (x.shape[0], *full, kernel.shape[2])
        y = tf.nn.conv2d_transpose(x, kernel, shape, strides, "VALID")
        if kind == "custom":
            top, bottom, left, right = _numbers(pad)
            y = y[:, top : full[0] - bottom, left : full[1] - right]
        if wanted:
            y = y[:, : wanted[0], : wanted[1]]
    return _nchw(y if bias is None else y + _float(bias))


def _pool(kind):
    def pool(
        x, kernel_sizes, strides=(1, 1), pad_type=None, pad=None, ceil_mode=False,
        exclude_padding_from_average=False,
    ):  # fmt: skip
        if np.any(ceil_mode):
            raise ValueError("Poolings that round sizes up are not known here.")
        padding = _paddings(pad_type, pad)
        # TensorFlow leaves its own padding out of averages, and counts what is put in.
        is_own, leaves_out = padding == "SAME", bool(exclude_padding_from_average)
        if kind == "AVG" and padding != "VALID" and is_own != leaves_out:
            raise ValueError("Averages with this kind of padding are not known here.")
        lowest = -np.inf if kind == "MAX" else 0.0
        x, padding = _padded(_nhwc(x), padding, lowest)
        return _nchw(
            tf.nn.pool(x, _numbers(kernel_sizes), kind, _numbers(strides), padding)
        )

    return pool


def _resized(x, height, width, method):
    return _nchw(tf.image.resize(_nhwc(x), (height, width), method))


def _upsample_nearest(x, scale_factor_height=1, scale_factor_width=1):
    return np.repeat(
        np.repeat(np.asarray(x), int(scale_factor_height), axis=2),
        int(scale_factor_width),
        axis=3,
    )


def _upsample_bilinear(
    x, scale_factor_height=1, scale_factor_width=1, align_corners=True,
    half_pixel_centers=None,
):  # fmt: skip
    x = np.asarray(x)
    height = round(x.shape[2] * float(scale_factor_height))
    width = round(x.shape[3] * float(scale_factor_width))
    if align_corners:
        return _aligned(x, height, width)
    if half_pixel_centers is not None and not half_pixel_centers:
        raise ValueError("Resizes by the corners of pixels are not known here.")
    return _resized(x, height, width, "bilinear")


def _resize_bilinear(x, target_size_height, target_size_width, sampling_mode=None):
    height, width = int(target_size_height), int(target_size_width)
    mode = _word(sampling_mode) or "DEFAULT"
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        return _aligned(np.asarray(x), height, width)
    if mode not in _HALF_PIXEL_MODES:
        raise ValueError(f"Resizes in the mode {mode} are not known here.")
    return _resized(x, height, width, "bilinear")


def _aligned(x, height, width):
    """Resizes so that the centres of the outermost pixels stay where they are."""
    return _nchw(
        tf.compat.v1.image.resize_bilinear(_nhwc(x), (height, width), align_corners=True)
    )


def _slice_by_index(
    x, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None
):
    count = len(_numbers(begin))
    stride = _numbers(stride) if stride is not None else [1] * count
    masks = [
        np.zeros(count, bool) if mask is None else np.asarray(mask, bool)
        for mask in (begin_mask, end_mask, squeeze_mask)
    ]
    index: list[Any] = []
    for axis, (first, last) in enumerate(zip(_numbers(begin), _numbers(end), strict=True)):
        no_begin, no_end, is_squeezed = (mask[axis] for mask in masks)
        if is_squeezed:
            index.append(first)
            continue
        index.append(
            slice(None if no_begin else first, None if no_end else last, stride[axis])
        )
    return np.asarray(x)[tuple(index)]


def _slice_by_size(x, begin, size):
    x = np.asarray(x)
    ends = [
        None if count == -1 else start + count
        for start, count in zip(_numbers(begin), _numbers(size), strict=True)
    ]
    return x[tuple(map(slice, _numbers(begin), ends))]


def _split(x, axis, num_splits=None, split_sizes=None):
    parts = (
        int(num_splits) if split_sizes is None else np.cumsum(_numbers(split_sizes))[:-1]
    )
    return np.split(np.asarray(x), parts, int(axis))


def _reduced(reduce):
    def reduced(x, axes=None, keep_dims=False):
        axis = None if axes is None else tuple(_numbers(axes))
        return reduce(np.asarray(x, np.float32), axis=axis, keepdims=bool(keep_dims))

    return reduced


def _pixel_shuffle(x, upscale_factor):
    x, factor = np.asarray(x), int(upscale_factor)
    batch, channels, height, width = x.shape
    depth = channels // factor**2
    x = x.reshape(batch, depth, factor, factor, height, width)
    return x.transpose(0, 1, 4, 2, 5, 3).reshape(
        batch, depth, height * factor, width * factor
    )


def _depth_to_space(x, block_size):
    return _nchw(tf.nn.depth_to_space(_nhwc(x), int(block_size)))


def _space_to_depth(x, block_size):
    return _nchw(tf.nn.space_to_depth(_nhwc(x), int(block_size)))


def _pad(x, pad, mode="constant", constant_val=0.0):
    x, numbers = np.asarray(x), _numbers(pad)
    pairs = [(0, 0)] * (x.ndim - len(numbers) // 2)
    pairs += [(numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2)]
    kind = _word(mode) or "constant"
    if kind == "constant":
        return np.pad(x, pairs, constant_values=constant_val)
    if kind != "reflect":
        raise ValueError(f"Padding {kind!r} of a Core ML package is not known here.")
    return np.pad(x, pairs, mode="reflect")


def _batch_norm(x, mean, variance, gamma=None, beta=None, epsilon=1e-5):
    def channels(values):
        return np.asarray(values, np.float32).reshape(1, -1, *([1] * (np.ndim(x) - 2)))

    y = np.asarray(x, np.float32) - channels(mean)
    y = y / np.sqrt(channels(variance) + np.float32(epsilon))
    y = y if gamma is None else y * channels(gamma)
    return y if beta is None else y + channels(beta)


def _layer_norm(x, axes, gamma=None, beta=None, epsilon=1e-5):
    x, axis = np.asarray(x, np.float32), tuple(_numbers(axes))
    y = x - x.mean(axis=axis, keepdims=True)
    y = y / np.sqrt(np.square(y).mean(axis=axis, keepdims=True) + np.float32(epsilon))
    y = y if gamma is None else y * np.asarray(gamma, np.float32)
    return y if beta is None else y + np.asarray(beta, np.float32)


def _gelu(x, mode="EXACT"):
    kind = _word(mode) or "EXACT"
    if kind == "SIGMOID_APPROXIMATION":
        return _float(x) * tf.sigmoid(1.702 * _float(x))
    return tf.nn.gelu(_float(x), approximate=kind != "EXACT")


def _matmul(x, y, transpose_x=False, transpose_y=False):
    return tf.matmul(
        _float(x), _float(y), transpose_a=bool(transpose_x), transpose_b=bool(transpose_y)
    )


def _linear(x, weight, bias=None):
    y = tf.matmul(_float(x), _float(weight), transpose_b=True)
    return y if bias is None else y + _float(bias)


def _affine_dequantize(quantized_data, zero_point, scale, axis):
    data = np.asarray(quantized_data)
    shape = [1] * data.ndim
    if np.size(scale) > 1:
        shape[int(axis)] = -1
    zero, factor = (
        np.asarray(values, np.float32).reshape(shape) for values in (zero_point, scale)
    )
    return (data.astype(np.float32) - zero) * factor


def _unary(compute: Callable) -> Callable:
    return lambda x, **_: compute(_float(x))


def _binary(compute: Callable) -> Callable:
    return lambda x, y: compute(np.asarray(x), np.asarray(y))


# Name in MIL -> what computes it, from arrays by the names of MIL's arguments.
OPERATORS: dict[str, Callable] = {
    "add": _binary(np.add),
    "avg_pool": _pool("AVG"),
    "batch_norm": _batch_norm,
    "cast": lambda x, dtype: x,  # the output's type rounds
    "clip": lambda x, alpha, beta: np.clip(x, alpha, beta),
    "concat": lambda values, axis, interleave=False: np.concatenate(values, int(axis)),
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_cast": lambda source_val, output_dtype: source_val,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "depth_to_space": _depth_to_space,
    "erf": _unary(tf.math.erf),
    "exp": _unary(tf.exp),
    "expand_dims": lambda x, axes: np.expand_dims(x, tuple(_numbers(axes))),
    "gelu": _gelu,
    "identity": lambda x: x,
    "layer_norm": _layer_norm,
    "leaky_relu": lambda x, alpha: tf.nn.leaky_relu(_float(x), float(alpha)),
    "linear": _linear,
    "matmul": _matmul,
    "max_pool": _pool("MAX"),
    "maximum": _binary(np.maximum),
    "minimum": _binary(np.minimum),
    "mul": _binary(np.multiply),
    "pad": _pad,
    "pixel_shuffle": _pixel_shuffle,
    "pow": _binary(np.power),
    "prelu": lambda x, alpha: np.where(
        x > 0, x, x * np.asarray(alpha).reshape(1, -1, *([1] * (np.ndim(x) - 2)))
    ),
    "real_div": _binary(np.true_divide),
    "reduce_max": _reduced(np.max),
    "reduce_mean": _reduced(np.mean),
    "reduce_sum": _reduced(np.sum),
    "relu": _unary(tf.nn.relu),
    "relu6": _unary(lambda x: tf.clip_by_value(x, 0.0, SIX)),
    "reshape": lambda x, shape: np.reshape(x, _numbers(shape)),
    "resize_bilinear": _resize_bilinear,
    "rsqrt": lambda x, epsilon=0.0: tf.math.rsqrt(_float(x) + float(epsilon)),
    "sigmoid": _unary(tf.sigmoid),
    "sigmoid_hard": lambda x, alpha, beta: np.clip(
        np.asarray(x, np.float32) * alpha + beta, 0, 1
    ),
    "silu": _unary(tf.nn.silu),
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "softmax": lambda x, axis=-1: tf.nn.softmax(_float(x), int(axis)),
    "space_to_depth": _space_to_depth,
    "split": _split,
    "sqrt": _unary(tf.sqrt),
    "square": _unary(tf.square),
    "squeeze": lambda x, axes=None: np.squeeze(
        x, None if axes is None else tuple(_numbers(axes))
    ),
    "stack": lambda values, axis: np.stack(values, int(axis)),
    "sub": _binary(np.subtract),
    "tanh": _unary(tf.tanh),
    "tile": lambda x, reps: np.tile(x, _numbers(reps)),
    "transpose": lambda x, perm: np.transpose(x, _numbers(perm)),
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": _upsample_nearest,
}
