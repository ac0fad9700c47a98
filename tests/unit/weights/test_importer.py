"""Every tensor of a checkpoint fills exactly one weight, or nothing is written."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from says import Says
from torch_files import write_torch_zip
from weights_check import assert_same_weights, reference_tensors

from keras_pose.contracts.pose import read_contract
from keras_pose.files import write_json
from keras_pose.pictures.normalization import IMAGENET, Normalization
from keras_pose.skeleton import Skeleton
from keras_pose.skeleton.files import write_skeleton
from keras_pose.weights.creation import create_model
from keras_pose.weights.importer import fill, import_weights
from keras_pose.weights.layouts import MMPOSE, REFERENCE, is_idle, recognize
from keras_pose.weights.provenance import normalization_of
from keras_pose.zoo import get_spec

MODEL = "hourglass_1"
INPUT_HW = (64, 64)
SCRIPT = Path(__file__).resolve().parents[3] / "training" / "import_weights.py"


@pytest.fixture(scope="module")
def model():
    return create_model(MODEL, num_keypoints=3, input_hw=INPUT_HW)


@pytest.fixture(scope="module")
def tensors(model):
    return reference_tensors(model)


@pytest.mark.slow
def test_import_reads_the_number_of_keypoints_and_the_normalization(
    model, tensors, tmp_path
):
    np.savez(tmp_path / "x.npz", **tensors)

    imported = import_weights(MODEL, tmp_path / "x.npz", input_hw=INPUT_HW)

    assert_same_weights(imported, model)
    assert normalization_of(imported) == REFERENCE.normalizations["hourglass"]


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["module.", "model.module.", ""])
def test_torch_files_and_their_wrappers(prefix, model, tensors, tmp_path):
    wrapped = {prefix + name: array for name, array in tensors.items() if array.ndim}
    write_torch_zip(tmp_path / "x.pth.tar", wrapped)

    imported = import_weights(MODEL, tmp_path / "x.pth.tar", 3, INPUT_HW)

    assert_same_weights(imported, model)


@pytest.mark.parametrize("head", ["head.", "keypoint_head."])
def test_mmpose_prefixes_are_cut_off(head):
    names = ["backbone.conv1.weight", f"{head}final_layer.weight"]

    layout, renamed = recognize({name: np.zeros(1) for name in names})

    assert layout is MMPOSE
    assert list(renamed) == ["conv1.weight", "final_layer.weight"]
    assert layout.normalizations["simple_baseline"] == IMAGENET


def test_the_only_layer_of_an_old_heads_sequence_is_the_last_one():
    names = ["backbone.conv1.weight", "keypoint_head.final_layer.0.bias"]
    _, renamed = recognize({name: np.zeros(1) for name in names})
    assert list(renamed) == ["conv1.weight", "final_layer.bias"]

    names.append("keypoint_head.final_layer.1.weight")
    _, kept = recognize({name: np.zeros(1) for name in names})
    assert "final_layer.1.weight" in kept  # another network than any of ours


@pytest.mark.parametrize(
    "wrapper",
    [
        "module.",
        "_orig_mod.",
        "model.",
        "module._orig_mod.model.",
        "net.module.",
        "model.net.",
        "student.",
        "trained.here.",
    ],
)
def test_wrappers_are_taken_off_until_none_is_common(wrapper):
    names = ["conv1.weight", "final_layer.weight"]
    layout, renamed = recognize({wrapper + name: np.zeros(1) for name in names})
    assert list(renamed) == names
    assert layout is REFERENCE
    backbone = [f"{wrapper}backbone.conv1.weight", f"{wrapper}head.final_layer.weight"]
    layout, renamed = recognize({name: np.zeros(1) for name in backbone})
    assert list(renamed) == names
    assert layout is MMPOSE


def test_a_wrapper_within_another_and_a_part_that_was_compiled():
    names = ["backbone.model.conv1.weight", "backbone.model.bn1.weight"]
    assert list(recognize({n: np.zeros(1) for n in names})[1]) == [
        "conv1.weight",
        "bn1.weight",
    ]
    names = ["backbone._orig_mod.conv1.weight", "head.final_layer.weight"]
    renamed = recognize({name: np.zeros(1) for name in names})[1]
    assert list(renamed) == ["conv1.weight", "final_layer.weight"]


def test_what_lies_beside_a_wrapped_network_is_left_out_with_a_line(capsys):
    names = [f"layer{i}.weight" for i in range(9)]
    tensors = {name: np.zeros(1) for name in [*(f"model.{n}" for n in names), "loss.scale"]}
    assert list(recognize(tensors)[1]) == names
    assert "1 tensors beside model.* (loss.scale)" in capsys.readouterr().out
    # Half of the names is no wrapped network with something beside it.
    half = {name: np.zeros(1) for name in ("model.a.weight", "b.weight")}
    assert list(recognize(half)[1]) == list(half)


def test_what_training_left_beside_the_network_is_left_out_with_a_line(capsys):
    names = ["backbone.conv1.weight", "backbone.conv1.bias", "head.final_layer.weight"]
    beside = ["ema_backbone_conv1_weight", "total_ops", "backbone.conv1.total_params"]
    tensors = {f"module.{name}": np.zeros(2) for name in [*names, *beside]}
    tensors["module.data_preprocessor.mean"] = np.zeros((3, 1, 1))

    renamed = recognize(tensors)[1]

    assert list(renamed) == ["conv1.weight", "conv1.bias", "final_layer.weight"]
    printed = capsys.readouterr().out
    assert "1 moving averages of mmcv (module.ema_backbone_conv1_weight)" in printed
    assert "2 counters (module.total_ops, module.backbone.conv1.total_params)" in printed
    assert "1 numbers of a preprocessor (module.data_preprocessor.mean)" in printed


def test_names_that_begin_like_averages_are_kept_without_what_they_average():
    assert list(recognize({"ema_conv1_weight": np.zeros(1)})[1]) == ["ema_conv1_weight"]


def test_names_that_become_the_same_are_refused():
    names = ["backbone.conv1.weight", "conv1.weight"]
    with Says(
        "Two tensors have the same name, conv1.weight, ... backbone.conv1.weight and conv1",
        do="The file holds two networks: leave one of them out of it.",
    ).refuses():
        recognize({name: np.zeros(1) for name in names})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda t: t.pop("bn1.weight"),
            Says(
                "does not fit hourglass_1: 1 tensors are missing (bn1.weight)",
                do="The file is of another network, or of an older build of it: --model.",
            ),
            id="missing",
        ),
        pytest.param(
            lambda t: t.update({"extra.weight": np.ones(1)}),
            Says(
                "1 would not be used (extra.weight)",
                do="The file is of a larger network: name that one (--model).",
            ),
            id="left_over",
        ),
        pytest.param(
            lambda t: t.update({"conv1.num_batches_tracked": np.array(0)}),
            Says(
                "would not be used (conv1.num_batches_tracked)",
                do="The file is of another network: name that one (--model).",
            ),
            id="counter_of_no_batch_norm",
        ),
        pytest.param(
            lambda t: t.update({"bn1.weight": np.ones(3, "f4")}),
            Says(
                "tensor bn1.weight should become (64,)",
                do="The file is of a wider or narrower network: name that one (--model).",
            ),
            id="shape",
        ),
        pytest.param(
            lambda t: t.update({"bn1.weight": np.ones(64, "i8")}),
            Says(
                "tensor bn1.weight holds int64, not real numbers",
                do="Bring the weights from before they were quantized.",
            ),
            id="whole_numbers",
        ),
        pytest.param(
            lambda t: t.update({"bn1.weight": np.full(64, np.nan, "f4")}),
            Says(
                "tensor bn1.weight holds infinite or undefined numbers",
                do="The training broke down: take an earlier checkpoint of it.",
            ),
            id="not_finite",
        ),
    ],
)
def test_misfits_are_refused_and_leave_the_model_alone(change, message, model, tensors):
    changed = {name: array * 2 if array.ndim else array for name, array in tensors.items()}
    change(changed)
    before = model.get_weights()

    with message.refuses():
        fill(model, changed, "x.npz")

    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_number_of_keypoints_than_asked_for_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", **{"score.0.weight": np.ones((16, 256, 1, 1))})
    with Says(
        "x.npz predicts 16 keypoints, but 17 were asked for",
        do="Leave --num-keypoints out, or bring another file.",
    ).refuses():
        import_weights(MODEL, tmp_path / "x.npz", num_keypoints=17)


def test_checkpoint_of_another_model_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", **{"fc.weight": np.ones((1000, 512))})
    with Says(
        "not a checkpoint of hrnet_w32: ... fc.weight",
        do="Name the network that the file is of: --model; keras_pose models lists them.",
    ).refuses():
        import_weights("hrnet_w32", tmp_path / "x.npz")


def test_own_design_has_no_reference_to_import():
    with pytest.raises(ValueError, match="pose_slim is our own design"):
        import_weights("pose_slim", "x.npz")


def run_script(*arguments):
    """Runs training/import_weights.py in this process, which has TensorFlow loaded."""
    module_spec = importlib.util.spec_from_file_location("import_weights", SCRIPT)
    script = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(script)
    script.main([str(argument) for argument in arguments])


@pytest.mark.slow
def test_what_a_checkpoint_means_is_said_at_import(model, tensors, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", **tensors)
    horse = Skeleton("horse", ("nose", "left_hoof", "right_hoof"))
    write_skeleton(tmp_path / "horse.json", horse)
    normalization = Normalization((0.1, 0.2, 0.3), (1.0, 1.0, 1.0), "bgr")
    write_json(tmp_path / "normalization.json", normalization.to_dict())
    options = ("--model", MODEL, "--source", tmp_path / "x.npz", "--input-hw", *INPUT_HW)
    options += ("--output", tmp_path / "horse.keras", "--codec", "dark")
    options += ("--normalization", tmp_path / "normalization.json")

    run_script(*options, "--skeleton", tmp_path / "horse.json")

    contract = read_contract(tmp_path / "horse.keras")
    assert (contract.skeleton, contract.codec.kind) == (horse, "dark")
    assert contract.normalization == normalization
    assert "3 keypoints of horse" in capsys.readouterr().out
    with Says(
        "predicts 3 keypoints, the skeleton 'coco_17' has 17",
        do="Bring the skeleton that the network was trained with.",
    ).refuses():
        run_script(*options, "--skeleton", "coco_17")


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_script_writes_a_file_that_the_zoo_takes(ending, model, tensors, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", **tensors)
    output = tmp_path / f"converted{ending}"

    run_script(
        *("--model", MODEL, "--source", tmp_path / "x.npz", "--output", output),
        *("--input-hw", *INPUT_HW),
    )

    loaded = create_model(MODEL, num_keypoints=3, input_hw=INPUT_HW, weights=output)
    assert_same_weights(loaded, model)
    assert "3 keypoints, numbered: the file does not say which" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [output.name, "x.npz"]
    )
    if ending == ".keras":
        contract = read_contract(output)
        assert contract.normalization == REFERENCE.normalizations["hourglass"]
        assert contract.normalization != get_spec(MODEL).normalization


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("nowhere.pth", "x.keras", "nowhere.pth does not exist"),
        ("nowhere.pth", "x.pth", "must end in .keras or .weights.h5"),
    ],
)
def test_script_ends_with_one_line_on_bad_input(source, output, message, tmp_path):
    with pytest.raises(SystemExit, match=f"error: .*{message}"):
        run_script("--model", MODEL, "--source", source, "--output", tmp_path / output)
    assert not list(tmp_path.iterdir())


def vitae_tensors(tensors):
    """mmpose's tensors of a ViTPose, as ViTAE's repository names and holds them."""
    renamed = {}
    for name, array in tensors.items():
        for ours, theirs in (
            ("layers.0.ln", "blocks.0.norm"),
            ("layers.0.attn", "blocks.0.attn"),
            ("layers.0.ffn.layers.0.0", "blocks.0.mlp.fc1"),
            ("layers.0.ffn.layers.1", "blocks.0.mlp.fc2"),
            ("patch_embed.projection", "patch_embed.proj"),
            ("backbone.ln1", "backbone.last_norm"),
            ("head.", "keypoint_head."),
        ):
            name = name.replace(ours, theirs)
        renamed[name] = array
    return renamed


def test_vitposes_of_their_authors_become_those_of_mmpose():
    rng = np.random.default_rng(0)
    names = (
        "backbone.patch_embed.projection.weight backbone.layers.0.ln1.weight "
        "backbone.layers.0.ln2.bias backbone.layers.0.attn.qkv.weight "
        "backbone.layers.0.attn.proj.bias backbone.layers.0.ffn.layers.0.0.weight "
        "backbone.layers.0.ffn.layers.1.bias backbone.ln1.weight head.final_layer.weight"
    )
    tensors = {name: rng.standard_normal(4) for name in names.split()}
    rows = rng.standard_normal((1, 193, 4))

    layout, expected = recognize(
        tensors | {"backbone.pos_embed": rows[:, 1:] + rows[:, :1]}
    )
    _, actual = recognize(vitae_tensors(tensors) | {"backbone.pos_embed": rows})

    assert layout is MMPOSE
    np.testing.assert_equal(actual, expected)


def test_what_references_never_apply_is_told_from_what_is_unknown():
    openpose = {"refinement_stages.0.trunk.0.initial.0", "model.0.0"}
    assert is_idle("refinement_stages.1.trunk.0.initial.0.weight", openpose)
    assert not is_idle("refinement_stages.0.trunk.9.initial.0.weight", openpose)
    assert not is_idle("model.99.0.weight", openpose)
