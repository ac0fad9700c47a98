"""Every network of the zoo keeps its promises."""

import keras
import numpy as np
import pytest
from harness import (
    check_model,
    check_network,
    check_table_row,
    check_tflite,
    random_images,
    small_input_hw,
)
from shallow import shallow, shallow_options

from keras_pose.models.complexity import count_macs, count_params
from keras_pose.weights.creation import create_model
from keras_pose.zoo import ZOO, build_model, get_spec, list_models
from keras_pose.zoo.rows import HIDDEN_ROWS

# Tried in full by `make test`: networks of few layers, which TFLite converts in seconds.
QUICK = (
    "testing_pose",
    "testing_stacks",
    "pose_slim",
    "rtmpose_t",
)
# Tried in full by CI: the deepest graph to convert, and the one that shuffles most.
DEEP = ("hrnet_w18", "tiny_pose")
# Tried by CI alone: even their shallow form takes five seconds and more.
MANY_LAYERS = (
    "tiny_pose",
    "lite_hrnet_18",
    "hrnet_v2p_w18",
    "hrnet_v2_w18_landmarks",
    "hrnet_w18_classification",
    "hourglass_princeton_2",
    "rtmdet_nano",
)
# The largest networks that `make test` computes with at all.
MOST_PARAMS = 35e6
# Their tiny form is tried in tests/parity/test_rtmw.py: the table's figures are left.
TRIED_ELSEWHERE = ("rtmw_m", "rtmw_l", "rtmw_x")
OTHERS = [name for name in list_models() if name not in QUICK]


def _smallest_of_other_families():
    """Names the smallest network of every family that has none among the quick ones."""
    smallest = {}
    for spec in sorted(ZOO.values(), key=lambda spec: spec.params):
        smallest.setdefault(spec.family, spec)
    quick_families = {get_spec(name).family for name in QUICK}
    return [
        spec.name
        for family, spec in smallest.items()
        if family not in quick_families
        and spec.params < MOST_PARAMS
        and spec.name not in TRIED_ELSEWHERE
    ]


SMALLEST = _smallest_of_other_families()


def _distinct():
    """Leaves out networks that are others with more repetitions, or with another input."""
    first = {}
    for name in [*SMALLEST, *OTHERS]:
        spec = ZOO[name]
        key = (
            *(spec.family, str(shallow_options(spec))),
            *(spec.num_keypoints, spec.input_multiple),
        )
        first.setdefault(key, name)
    return list(first.values())


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    """Seeds the biases that start at random, as those of RTMDet's attention do."""
    keras.utils.set_random_seed(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_quick_model(name, tmp_path):
    check_model(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.very_slow] * (name in MANY_LAYERS))
        for name in SMALLEST
    ],
)
def test_smallest_model_of_its_family(name, tmp_path):
    with shallow(name):
        check_network(name, tmp_path)


@pytest.mark.very_slow
@pytest.mark.parametrize("name", SMALLEST)
def test_smallest_model_of_its_family_in_tflite(name):
    with shallow(name) as spec:
        check_tflite(build_model(name, input_hw=small_input_hw(spec)))


@pytest.mark.very_slow
@pytest.mark.parametrize(
    "name", [name for name in _distinct() if name not in (*SMALLEST, *TRIED_ELSEWHERE)]
)
def test_model(name, tmp_path):
    with shallow(name):
        check_tflite(check_network(name, tmp_path))


@pytest.mark.very_slow
@pytest.mark.parametrize("name", [name for name in OTHERS if name not in DEEP])
def test_row(name):
    check_table_row(name)


@pytest.mark.very_slow
@pytest.mark.parametrize("name", DEEP)
def test_deep_model(name, tmp_path):
    check_model(name, tmp_path)


@pytest.mark.parametrize(
    "spec",
    [spec for spec in HIDDEN_ROWS if not spec.needs_trunk],
    ids=lambda spec: spec.name,
)
def test_figures_of_networks_for_tests(spec):
    model = build_model(spec.name)

    assert (count_params(model), count_macs(model)) == (spec.params, spec.macs)


def test_stacked_models_give_one_output_per_stack():
    model = create_model("hourglass_2", num_keypoints=3, input_hw=(64, 64))

    heatmaps = model(random_images(model, 1, seed=0))

    assert [stack.shape for stack in heatmaps] == [(1, 16, 16, 3)] * 2
    assert not np.allclose(*heatmaps)


def test_slim_stays_below_half_a_gigamac():
    assert get_spec("pose_slim").macs < 0.5e9


@pytest.mark.very_slow
def test_slim_learns_one_batch():
    keras.utils.set_random_seed(0)
    model = create_model("pose_slim", num_keypoints=2, input_hw=(64, 32))
    images = random_images(model, 4, seed=0)
    heatmaps = np.zeros((4, 16, 8, 2), "float32")
    heatmaps[:, 5, 3] = 1
    model.compile(keras.optimizers.Adam(1e-2), "mse", jit_compile=False)

    losses = [float(model.train_on_batch(images, heatmaps)) for _ in range(15)]

    # The best constant map has the loss 1/128; learning one pixel's place goes below.
    assert losses[-1] < min(losses[0], 1 / 128) / 2


def test_keras_files_load_by_name_and_as_a_whole(tmp_path):
    path = tmp_path / "slim.keras"
    model = create_model("pose_slim", num_keypoints=2, input_hw=(32, 32))
    model.save(path)
    images = random_images(model, 1, seed=0)
    expected = model(images).numpy()

    by_name = create_model("pose_slim", num_keypoints=2, input_hw=(32, 32), weights=path)

    np.testing.assert_array_equal(by_name(images), expected)
    np.testing.assert_array_equal(keras.models.load_model(path)(images), expected)
