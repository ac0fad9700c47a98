"""Damaged IRs are reported, whatever is wrong with them."""

import numpy as np
import pytest
from ir_files import write_ir
from onnx import helper

from keras_pose.weights.network_files import read_network


@pytest.fixture
def ir(tmp_path):
    node = helper.make_node("Conv", ["image", "k", "b"], ["y"], strides=[1, 1], group=1)
    numbers = {"k": np.ones((4, 3, 1, 1), "f4"), "b": np.ones(4, "f4")}
    return write_ir(tmp_path / "x.xml", [node], numbers, (1, 3, 8, 8))


def test_numbers_are_those_of_the_bin(ir):
    network = read_network(ir)
    kernels = [array for array in network.constants.values() if array.shape == (4, 3, 1, 1)]
    np.testing.assert_equal(kernels, [np.ones((4, 3, 1, 1))])
    assert network.input_hw == (8, 8)


def test_open_sizes_are_none(ir):
    ir.write_text(ir.read_text().replace("<dim>8</dim>", "<dim>-1</dim>"))
    assert read_network(ir).input_hw is None


def test_numbers_in_no_file_are_told(ir):
    ir.with_suffix(".bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"needs its numbers in .*x.bin"):
        read_network(ir)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("<net ", "<web ", "mismatched tag", id="not_xml"),
        pytest.param("<layers>", "<layers/><x>", "mismatched tag", id="cut"),
        pytest.param("<net ", "<!DOCTYPE a><net ", "has declarations", id="declarations"),
        pytest.param('size="48"', 'size="44"', r"44 bytes for \(4, 3, 1, 1\)", id="size"),
        pytest.param(
            'offset="0"', 'offset="20"', "beyond the end of the .bin", id="beyond"
        ),
        pytest.param('offset="0"', 'offset="-8"', "48 bytes for", id="before"),
        pytest.param('to-port="1"', 'to-port="7"', "lacks", id="port"),
    ],
)
def test_damage_is_told(old, new, message, ir):
    text = ir.read_text()
    assert old in text
    ir.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"x.xml is not an OpenVINO IR.*{message}"):
        read_network(ir)
