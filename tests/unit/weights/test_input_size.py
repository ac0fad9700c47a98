"""Weights at another input size than their own are interpolated, or refused with why."""

import numpy as np
import pytest
from weights_check import assert_same_weights

from keras_pose.weights.creation import create_model
from keras_pose.weights.importer import import_weights
from keras_pose.weights.input_size import fit_positions
from keras_pose.zoo import get_spec

SPEC = get_spec("vitpose_s_simple")
# What PyTorch's `interpolate(mode="bicubic", align_corners=False)` makes of SQUARES.
SQUARES = np.arange(6.0, dtype="float32") ** 2
ENLARGED = [
    [-0.8156435489654541, -0.7471214532852173, 0.6439310312271118, 2.355031728744507],
    [4.212890625, 6.3994140625, 11.1015625, 14.9306640625],
    [9.241422653198242, 13.545948028564453, 21.559192657470703, 27.506296157836914],
]


def test_positions_are_interpolated_as_pytorch_does(capsys):
    rows = SQUARES.reshape(1, 6, 1)

    fitted = fit_positions(SPEC, rows, (32, 48), (48, 64), "x.pth")

    np.testing.assert_allclose(fitted.reshape(3, 4), ENLARGED, atol=1e-5)
    assert capsys.readouterr().out == (
        "vitpose_s_simple: the positions of x.pth are interpolated from 2 x 3 to 3 x 4 "
        "patches.\n"
    )


@pytest.mark.parametrize("trained_hw", [(32, 48), None])
def test_positions_of_the_same_size_stay(trained_hw, capsys):
    rows = SQUARES.reshape(1, 6, 1)
    assert fit_positions(SPEC, rows, trained_hw, (32, 48), "x.pth") is rows
    assert not capsys.readouterr().out


def test_other_numbers_of_positions_are_refused():
    with pytest.raises(ValueError, match=r"each of the 16 x 12 patches .* \(1, 6, 1\)"):
        fit_positions(SPEC, SQUARES.reshape(1, 6, 1), None, (64, 64), "x.pth")


@pytest.mark.slow
def test_a_vitpose_is_loaded_at_another_size(tmp_path, capsys):
    path = tmp_path / "x.weights.h5"
    trained = create_model(SPEC.name, num_keypoints=3)
    trained.save_weights(path)

    loaded = create_model(SPEC.name, input_hw=(32, 64), weights=path)

    assert "from 16 x 12 to 2 x 4 patches" in capsys.readouterr().out
    assert loaded.output_shape == (None, 8, 16, 3)
    assert loaded.get_layer("pos_embed").embedding.shape == (1, 8, 384)
    for name in ("patch_embed-projection", "final_layer"):
        assert_same_weights(loaded.get_layer(name), trained.get_layer(name))


@pytest.mark.slow
def test_an_rtmpose_tells_the_size_it_is_for(tmp_path):
    path = tmp_path / "x.weights.h5"
    trained = create_model("rtmpose_t", num_keypoints=3, input_hw=(64, 32))
    trained.save_weights(path)

    with pytest.raises(ValueError, match=r"32 x 64 pixels: .*one input size only, 64 x 32"):
        create_model("rtmpose_t", input_hw=(32, 64), weights=path)


def test_a_reference_checkpoint_of_an_rtmpose_does_too(tmp_path):
    kernels = {
        "backbone.stem.0.conv.weight": (8, 3, 3, 3),
        "head.final_layer.weight": (17, 384, 7, 7),
        "head.mlp.1.weight": (256, 48),
        "head.cls_x.weight": (384, 256),
        "head.cls_y.weight": (512, 256),
    }
    np.savez(tmp_path / "x.npz", **{name: np.ones(s, "f4") for name, s in kernels.items()})
    with pytest.raises(ValueError, match=r"mlp-1, cls_x, cls_y .* size only, 256 x 192"):
        import_weights("rtmpose_t", tmp_path / "x.npz", input_hw=(64, 32))
