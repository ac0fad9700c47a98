"""RTMW computes what mmpose's description says, written down once more in NumPy.

There are no stored outputs of mmpose's own RTMW. So a tiny one is computed here in float64,
in PyTorch's order of axes, by what `backbones/cspnext.py`, `necks/cspnext_pafpn.py`,
`heads/coord_cls_heads/rtmw_head.py` and `utils/rtmcc_block.py` say; it draws its weights
under the checkpoint's names when it needs them. What it drew must then be all that the
converter wants, and our network's outputs must be the same.
"""

import zlib

import numpy as np
import pytest

from keras_pose.models.complexity import count_params
from keras_pose.models.own_layers import PixelShuffle
from keras_pose.models.rtmw import build_rtmw
from keras_pose.weights.importer import fill
from keras_pose.weights.layouts import recognize

KEYPOINTS, INPUT_HW, WIDTH = 5, (64, 96), 0.0625
HIDDEN, EXPANDED, ATTENTION = 256, 512, 128


class Checkpoint:
    """Tensors under the reference's names, drawn by name when they are asked for."""

    def __init__(self):
        self.tensors = {}

    def draw(self, name, *shape, low=None):
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if low is not None:
            values = rng.uniform(low, 1.5, shape)
        else:
            values = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:]) or 1), shape)
        self.tensors[name] = values.astype(np.float32)
        return self.tensors[name].astype(np.float64)

    def conv(self, x, name, filters, size, stride=1, groups=1):
        """Convolves (C, H, W) with padding size // 2."""
        kernel = self.draw(f"{name}.weight", filters, len(x) // groups, size, size)
        x = np.pad(x, ((0, 0), *[(size // 2, size // 2)] * 2))
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
        windows = windows[:, ::stride, ::stride]
        if groups > 1:
            return np.einsum("chwij,cij->chw", windows, kernel[:, 0])
        return np.einsum("chwij,ocij->ohw", windows, kernel)

    def norm(self, x, name):
        count = len(x)
        scale = self.draw(f"{name}.weight", count, low=0.5)
        mean = self.draw(f"{name}.running_mean", count)
        variance = self.draw(f"{name}.running_var", count, low=0.5)
        shift = self.draw(f"{name}.bias", count)
        self.tensors[f"{name}.num_batches_tracked"] = np.array(7)
        factor = scale / np.sqrt(variance + 1e-5)
        return x * factor[:, None, None] + (shift - mean * factor)[:, None, None]

    def module(self, x, name, filters, size, stride=1, groups=1, rectify=None):
        x = self.conv(x, f"{name}.conv", filters, size, stride, groups)
        return (rectify or silu)(self.norm(x, f"{name}.bn"))

    def linear(self, x, name, units):
        return x @ self.draw(f"{name}.weight", units, x.shape[-1]).T

    def scale_norm(self, x, name):
        length = np.sqrt((x**2).sum(axis=-1, keepdims=True)) * x.shape[-1] ** -0.5
        return x / np.maximum(length, 1e-5) * self.draw(f"{name}.g", 1, low=0.5)


def silu(x):
    return x / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def csp_layer(net, x, name, filters, *, adds_identity=False, has_attention=False):
    short = net.module(x, f"{name}.short_conv", filters // 2, 1)
    main = net.module(x, f"{name}.main_conv", filters // 2, 1)
    for index in range(1 if has_attention else 2):
        block = f"{name}.blocks.{index}"
        half = len(main)
        y = net.module(main, f"{block}.conv1", half, 3)
        y = net.module(y, f"{block}.conv2.depthwise_conv", half, 5, groups=half)
        y = net.module(y, f"{block}.conv2.pointwise_conv", half, 1)
        main = y + main if adds_identity else y
    x = np.concatenate([main, short])
    if has_attention:
        mean = x.mean(axis=(1, 2))
        weight = net.draw(f"{name}.attention.fc.weight", len(x), len(x), 1, 1)
        bias = net.draw(f"{name}.attention.fc.bias", len(x))
        share = np.clip(weight[:, :, 0, 0] @ mean + bias + 3, 0, 6) / 6
        x = x * share[:, None, None]
    return net.module(x, f"{name}.final_conv", filters, 1)


def backbone(net, x):
    stem = int(64 * WIDTH)
    x = net.module(x, "backbone.stem.0", stem // 2, 3, 2)
    x = net.module(x, "backbone.stem.1", stem // 2, 3)
    x = net.module(x, "backbone.stem.2", stem, 3)
    features = []
    for stage, channels in enumerate((128, 256, 512, 1024), start=1):
        filters, name = int(channels * WIDTH), f"backbone.stage{stage}"
        x = net.module(x, f"{name}.0", filters, 3, 2)
        if stage == 4:
            x = pyramid(net, x, f"{name}.1")
        last = f"{name}.{2 if stage == 4 else 1}"
        options = {"adds_identity": stage < 4, "has_attention": True}
        x = csp_layer(net, x, last, filters, **options)
        features.append(x)
    return features[1:]


def pyramid(net, x, name):
    x = net.module(x, f"{name}.conv1", len(x) // 2, 1)
    parts = [x]
    for size in (5, 9, 13):
        reach = ((0, 0), *[(size // 2, size // 2)] * 2)
        padded = np.pad(x, reach, constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
        parts.append(windows.max(axis=(-1, -2)))
    return net.module(np.concatenate(parts), f"{name}.conv2", 2 * len(x), 1)


def neck(net, features):
    inner = [features[2]]
    for index, low in enumerate((features[1], features[0])):
        high = net.module(inner[0], f"neck.reduce_layers.{index}", len(low), 1)
        inner[0] = high
        joined = np.concatenate([high.repeat(2, axis=1).repeat(2, axis=2), low])
        inner.insert(0, csp_layer(net, joined, f"neck.top_down_blocks.{index}", len(low)))
    outer = [inner[0]]
    for index, high in enumerate(inner[1:]):
        low = net.module(outer[-1], f"neck.downsamples.{index}", len(outer[-1]), 3, 2)
        filters = len(features[index + 1])
        joined = np.concatenate([low, high])
        outer.append(csp_layer(net, joined, f"neck.bottom_up_blocks.{index}", filters))
    return outer[1:]


def pixel_shuffle(x):
    channels, height, width = x.shape
    x = x.reshape(channels // 4, 2, 2, height, width).transpose(0, 3, 1, 4, 2)
    return x.reshape(channels // 4, 2 * height, 2 * width)


def head(net, fine, coarse):
    def described(maps, layer, mlp):
        maps = net.module(maps, f"head.{layer}", KEYPOINTS, 7, rectify=relu)
        tokens = net.scale_norm(maps.reshape(KEYPOINTS, -1), f"head.{mlp}.0")
        return net.linear(tokens, f"head.{mlp}.1", HIDDEN // 2)

    low = described(coarse, "final_layer", "mlp")
    enlarged = pixel_shuffle(coarse)
    enlarged = net.module(enlarged, "head.conv_dec", len(enlarged), 7, rectify=relu)
    high = described(np.concatenate([enlarged, fine]), "final_layer2", "mlp2")
    x = np.concatenate([low, high], axis=-1)
    x = gated_attention(net, x, "head.gau")
    columns = net.linear(x, "head.cls_x", 2 * INPUT_HW[1])
    return np.concatenate([columns, net.linear(x, "head.cls_y", 2 * INPUT_HW[0])], axis=-1)


def gated_attention(net, x, name):
    uv = silu(net.linear(net.scale_norm(x, f"{name}.ln"), f"{name}.uv", 1152))
    gate, values, base = np.split(uv, [EXPANDED, 2 * EXPANDED], axis=-1)
    gamma = net.draw(f"{name}.gamma", 2, ATTENTION)
    beta = net.draw(f"{name}.beta", 2, ATTENTION)
    queries, keys = (base * gamma[i] + beta[i] for i in range(2))
    kernel = relu(queries @ keys.T / np.sqrt(ATTENTION)) ** 2
    mixed = net.linear(gate * (kernel @ values), f"{name}.o", HIDDEN)
    return x * net.draw(f"{name}.res_scale.scale", HIDDEN, low=0.5) + mixed


@pytest.mark.slow
def test_tiny_rtmw_computes_what_mmpose_describes():
    net = Checkpoint()
    image = np.random.default_rng(0).normal(size=(3, *INPUT_HW)).astype(np.float32)
    fine, coarse = neck(net, backbone(net, image.astype(np.float64)))
    expected = head(net, fine, coarse)

    model = build_rtmw(KEYPOINTS, INPUT_HW, WIDTH, depth=0.1)
    layout, tensors = recognize(net.tensors)
    fill(model, tensors, "the tensors of this test")
    simcc = np.asarray(model(image.transpose(1, 2, 0)[None], training=False))[0]

    assert layout.name == "mmpose"
    assert layout.normalizations["rtmw"].channel_order == "rgb"
    # Float32 noise of some fifty layers; a channel out of place lies at 1e-1.
    np.testing.assert_allclose(simcc, expected, atol=1e-4 * expected.std() + 1e-5)
    counted = [
        tensor.size
        for name, tensor in net.tensors.items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    ]
    assert count_params(model) == sum(counted)


def test_pixel_shuffle_orders_channels_as_pytorch():
    x = np.arange(2 * 3 * 8, dtype=np.float32).reshape(2, 3, 8)
    expected = pixel_shuffle(x.transpose(2, 0, 1)).transpose(1, 2, 0)
    np.testing.assert_array_equal(PixelShuffle(2)(x[None])[0], expected)
    with pytest.raises(ValueError, match="needs a multiple of 4 channels, got 6"):
        PixelShuffle(2)(np.zeros((1, 2, 2, 6), np.float32))
