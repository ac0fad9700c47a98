"""Backbones, styles and heads of Simple Baselines."""

import pytest
from keras import layers

from keras_pose.models.simple_baseline import build_simple_baseline

INPUT_HW = (64, 32)


@pytest.mark.slow
@pytest.mark.parametrize("upsampling", ["bilinear", "nearest"])
def test_resizing_head_needs_no_transposed_convolution(upsampling):
    model = build_simple_baseline(
        2, INPUT_HW, "resnet18", head="resize", head_channels=16, upsampling=upsampling
    )

    kinds = {type(layer) for layer in model.layers}
    assert layers.Conv2DTranspose not in kinds
    resizings = [x for x in model.layers if isinstance(x, layers.UpSampling2D)]
    assert [layer.interpolation for layer in resizings] == [upsampling] * 3
    assert model.output.shape == (None, 16, 8, 2)


@pytest.mark.slow
def test_resizing_head_sees_detail_at_full_resolution():
    """A head that convolved before its last enlargement could only give smooth maps."""
    model = build_simple_baseline(2, INPUT_HW, "resnet18", head="resize", head_channels=16)
    last = [layer.name for layer in model.layers if layer.weights][-3:]
    assert last == ["resize_layers-2-conv", "resize_layers-2-bn", "final_layer"]
    assert model.get_layer("resize_layers-2-conv").output.shape[1:3] == (16, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet51"}, "backbone must be one of .*'resnet51'"),
        ({"backbone": "resnet50", "style": "tf"}, "style must be one of"),
        ({"backbone": "resnet50", "head": "pixel_shuffle"}, "head must be one of"),
        ({"backbone": "resnet50", "upsampling": "cubic"}, "upsampling must be one of"),
        ({"backbone": "resnet18", "style": "caffe"}, "with bottlenecks, not resnet18"),
        ({"backbone": "mobilenet_v2", "style": "caffe"}, "not mobilenet_v2"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build_simple_baseline(2, INPUT_HW, **options)
