import keras
from exported_files import BGR, CODEC, INPUT_HW, SKELETON

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.formats.tflite_export import float_tflite_model
from keras_pose.exporting.quantization.tflite_quantizing import quantizable_ops
from keras_pose.exporting.quantization.trained_ranges import ranges_by_tensor


def test_a_rectified_sum_of_three_gives_its_range_to_the_last_addition_alone():
    # As where HRNet fuses resolutions. What is added up on the way is below zero, too.
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same", name="first")(image)
    terms = [keras.layers.Conv2D(4, 1, name=f"term{i}")(x) for i in range(3)]
    total = keras.layers.ReLU(name="relu")(keras.layers.Add(name="add")(terms))
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(total))
    converted = float_tflite_model(model, keras_contract(model, CODEC, SKELETON, BGR))
    ranges = {"add": (0.0, 6.0), "relu": (0.0, 6.0), "term1": (-3.0, 3.0)}

    found = ranges_by_tensor(converted, ranges)

    sums = [name for name in quantizable_ops(converted) if "/Add" in name]
    assert len(sums) == 2
    assert sums[0] not in found
    assert found[sums[1]] == (0.0, 6.0)
    assert sorted(found.values()) == [(-3.0, 3.0), (0.0, 6.0)]
