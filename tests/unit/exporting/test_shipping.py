"""Shipping: which file is the default, what the cards say, what is put in place."""

import dataclasses
import json

import pytest
from says import Says

from keras_pose.exporting import shipping
from keras_pose.exporting.shipping import Shipment, write_shipment
from keras_pose.shipped import (
    network_of_model,
    shipped_box_threshold,
    shipped_file,
    shipped_network,
)

POSE_PROTOCOL = {
    "dataset": "coco",
    "split": "val",
    "is_subset": False,
    "num_images": 398,
    "num_people": 951,
    "boxes": "ground truth",
    "boxes_threshold": 0.0,
    "flip_test": False,
    "nms": "hard",
}
BOX_PROTOCOL = {
    **{name: POSE_PROTOCOL[name] for name in ("dataset", "split", "is_subset")},
    "num_images": 398,
    "num_people": 1739,
    "settings": {"score_threshold": 0.05, "iou_threshold": 0.6},
}


def shipment(work, kind, ap, refused=None):
    """One model with the AP of each type."""
    protocol = POSE_PROTOCOL if kind == "pose" else BOX_PROTOCOL
    names = ("AP50", "AP75", "APS", "APM", "APL", "AR", "AR100", "F1")
    metrics = {
        name: {"AP": value, **dict.fromkeys(names, 0.5), "protocol": protocol}
        | {"F1_score": 0.1834}
        for name, value in ap.items()
    }
    files = {name: work / f"{kind}_{name}.tflite" for name in ap if name != "float32"}
    for path in files.values():
        path.write_bytes(b"weights of " + path.name.encode())
    recipes = [
        {"epochs": 12, "data_dir": "/home/me/coco", "weights": None},
        {
            "epochs": 19,
            "data_dir": "/home/me/coco",
            "weights": "/home/me/first/best.keras",
            "teacher": "/home/me/big/best.keras",
        },
    ]
    network = work / f"{kind}_net_64x48.keras"
    network.write_bytes(b"kernels")
    refused = refused or {}
    return Shipment(
        kind, f"{kind}_net", (64, 48), files, refused, metrics, recipes, network
    )


THRESHOLD = shipping.BoxThreshold(0.45, "An app shows boxes above 0.45.")


def shipments(work):
    names = ["pose_int8", "pose_float16", "detector_int8", "detector_float16"]
    models = {f"{name}.tflite": {"quantization": name} for name in names}
    (work / "pose_model.json").write_text(json.dumps({"models": models}))
    pose = shipment(work, "pose", {"float32": 0.5, "int8": 0.495, "float16": 0.5})
    detector = shipment(work, "detector", {"float32": 0.4, "int8": 0.34, "float16": 0.4})
    return pose, detector


def both(pose, detector):
    protocol = POSE_PROTOCOL | {"boxes": "detector_int8.tflite", "boxes_threshold": 0.1}
    times = {f"milliseconds, {n} people": {"total": 10.0 * n} for n in (1, 5, 20)}
    values = {"AP": 0.321, "AP50": 0.6, "protocol": protocol, "machine": "2 cores, NEON"}
    return {("int8", "float16"): values | {"pipeline": {"box": {"AP": 0.4}, **times}}}


def test_int8_is_the_default_unless_it_loses_too_much(tmp_path):
    pose, detector = shipments(tmp_path)
    assert (pose.default, detector.default) == ("int8", "float16")
    only = shipment(tmp_path, "pose", {"float32": 0.5, "float16": 0.5}, {"int8": "why"})
    assert only.default == "float16"
    with pytest.raises(ValueError, match=r"No file of pose_net was exported: .*why"):
        _ = shipment(tmp_path, "pose", {"float32": 0.5}, {"int8": "why"}).default


def test_files_cards_and_index_are_put_in_place(tmp_path):
    work, output = tmp_path / "work", tmp_path / "shipped"
    work.mkdir()
    output.mkdir()
    (output / "old_int8.tflite").touch()
    pose, detector = shipments(work)

    written = write_shipment(
        (pose, detector), both(pose, detector), work, output, "## Data", THRESHOLD
    )

    assert {path.name for path in output.iterdir()} == {path.name for path in written}
    assert not (output / "old_int8.tflite").exists()
    assert shipped_file("pose", folder=output).name == "pose_int8.tflite"
    assert shipped_file("detector", folder=output).name == "detector_float16.tflite"
    assert shipped_box_threshold(output) == 0.45
    assert network_of_model("pose_net", output).read_bytes() == b"kernels"
    card = (output / "detector.md").read_text()
    assert (
        "| detector_net_64x48.keras | Keras, kernels of 6 significant bits | 0.00 |" in card
    )
    assert "not official COCO AP" in card
    assert "| int8 | 0.340 |" in card
    assert "+0.060 |" in card
    assert "1739 people, scores over 0.05, NMS at IoU 0.6" in card
    assert "| int8 | float16 | 0.321 | 0.600 | 0.400 | 10 | 50 | 200 |" in card
    assert "on the machine that measured (2 cores, NEON): good for comparing" in card
    assert "An app shows boxes above 0.45." in card
    assert card.endswith("## Data\n")
    pose_card = (output / "pose.md").read_text()
    assert "951 people, ground-truth boxes, no flip test, hard OKS-NMS" in pose_card
    assert "| epochs | `12` | `19` |" in pose_card
    assert "| weights | - | `first/best.keras` |" in pose_card
    assert "| teacher | - | `big/best.keras` |" in pose_card
    assert "/home/me" not in pose_card


def test_what_was_refused_is_told(tmp_path):
    refused = {"int8": "too far off"}
    only = shipment(tmp_path, "pose", {"float32": 0.5, "float16": 0.5}, refused)
    assert "No int8 file: too far off" in shipping.model_card(only, "", "")


def test_too_much_is_refused_before_anything_is_replaced(tmp_path, monkeypatch):
    work, output = tmp_path / "work", tmp_path / "shipped"
    work.mkdir()
    output.mkdir()
    (output / "shipped.json").write_text(json.dumps({"pose": "as it was"}))
    pose, detector = shipments(work)
    monkeypatch.setattr(shipping, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match=r"may have 0\.0001 MB, got"):
        write_shipment((pose, detector), both(pose, detector), work, output, "", THRESHOLD)
    assert (output / "shipped.json").exists()


def room_for(shipments, pipelines, leaving_out):
    """Returns the bytes of all but some files, and of cards that say so."""
    for each, name in leaving_out:
        shipments = [one.without(name) if one is each else one for one in shipments]
    files = [path for each in shipments for path in each.paths]
    both = f"{shipping._pipelines(pipelines)}\n\n{THRESHOLD.text}"
    cards = [shipping.model_card(each, both, "") for each in shipments]
    return sum(path.stat().st_size for path in files) + sum(map(len, cards))


def test_float16_is_left_out_first_where_there_is_no_room(tmp_path, monkeypatch):
    work, output = tmp_path / "work", tmp_path / "shipped"
    work.mkdir()
    pose, detector = shipments(work)
    pose.files["float16"].write_bytes(bytes(10_000))
    pairs = both(pose, detector)
    contract_bytes = (work / "pose_model.json").stat().st_size
    room = room_for((pose, detector), pairs, [(pose, "float16")]) + contract_bytes
    monkeypatch.setattr(shipping, "MAX_BYTES", room)

    written = write_shipment((pose, detector), pairs, work, output, "", THRESHOLD)

    # The detector's float16 file is taken by default, so it stays.
    names = {path.name for path in written}
    assert "pose_float16.tflite" not in names
    assert {"pose_int8.tflite", "detector_float16.tflite"} <= names
    assert {"pose_net_64x48.keras", "detector_net_64x48.keras"} <= names
    contract = json.loads((output / "pose_model.json").read_text())
    assert "pose_float16.tflite" not in contract["models"]
    assert "pose_int8.tflite" in contract["models"]
    card = (output / "pose.md").read_text()
    assert "to_tflite.py --float16 --weights keras_pose/shipped/pose_net_64x48.ker" in card
    assert "want of space" not in (output / "detector.md").read_text()


def test_a_model_that_was_shipped_before_keeps_all_of_its_files(tmp_path, monkeypatch):
    work, output = tmp_path / "work", tmp_path / "shipped"
    work.mkdir()
    pose, detector = shipments(work)
    pose.files["float16"].write_bytes(bytes(10_000))
    card = f"# Pose\n\n## {shipping.PAIRS}\n\nolder\n\n## Training\n\nlong ago\n"
    pose = dataclasses.replace(pose, card=card)
    monkeypatch.setattr(shipping, "MAX_BYTES", 12_000)
    with pytest.raises(ValueError, match="What comes with the package may have"):
        write_shipment((pose, detector), both(pose, detector), work, output, "", THRESHOLD)
    monkeypatch.setattr(shipping, "MAX_BYTES", 100_000)
    write_shipment((pose, detector), both(pose, detector), work, output, "", THRESHOLD)

    assert (output / "pose_float16.tflite").exists()
    written = (output / "pose.md").read_text()
    assert "older" not in written
    assert THRESHOLD.text in written
    assert written.endswith("## Training\n\nlong ago\n")


def test_then_go_the_networks_the_detectors_first(tmp_path, monkeypatch):
    work, output = tmp_path / "work", tmp_path / "shipped"
    work.mkdir()
    pose, detector = shipments(work)
    pose.files["float16"].write_bytes(bytes(10_000))
    detector.network.write_bytes(bytes(20_000))
    pairs = both(pose, detector)
    contract_bytes = (work / "pose_model.json").stat().st_size
    monkeypatch.setattr(shipping, "MAX_BYTES", 12_000 + contract_bytes)

    write_shipment((pose, detector), pairs, work, output, "", THRESHOLD)

    assert shipped_network("detector", output) is None
    assert shipped_network("pose", output).name == "pose_net_64x48.keras"
    assert "No Keras file to train on" in (output / "detector.md").read_text()
    with Says(
        "come with the package. It has those of pose_net; got detector_net",
        do="Name a network that is shipped, or other weights.",
    ).refuses():
        network_of_model("detector_net", output)


def test_runs_of_a_card_stand_before_those_that_went_on_from_it(tmp_path):
    first = {"model": "pose_net", "weights": "imagenet", "epochs": 3, "data_dir": "here"}
    card = (
        f"# Model\n\n## Training\n\n{shipping._training([first])}\n\n## Data\n\n| a | b |\n"
    )
    (known,) = shipping.card_runs(card)
    assert known == {"model": "`pose_net`", "weights": "`imagenet`", "epochs": "`3`"}

    second = {"model": "pose_net", "weights": "shipped", "teacher": "x/y/teacher.keras"}
    both = shipping._training([second], (known,))
    assert both.splitlines() == [
        "| setting | run 1 | run 2 |",
        "| --- | --- | --- |",
        "| model | `pose_net` | `pose_net` |",
        "| weights | `imagenet` | `shipped` |",
        "| epochs | `3` | - |",
        "| teacher | - | `y/teacher.keras` |",
    ]
    three = shipping.card_runs(f"## Training\n\n{both}\n")
    assert three == (known | {"teacher": "-"}, {
        "model": "`pose_net`", "weights": "`shipped`", "epochs": "-",
        "teacher": "`y/teacher.keras`",
    })  # fmt: skip
    assert shipping.card_runs("## Training\n\nThe recipe is not known.\n") == ()


def test_a_card_names_sets_of_ones_own_without_their_folders():
    recipe = {"model": "pose_net", "dataset": "coco,sports=/home/me/sports"}
    assert "| dataset | `coco,sports` |" in shipping._training([recipe])


def test_the_note_of_the_data_is_renewed_in_a_card_that_stays(tmp_path):
    card = f"# Model\n\n## {shipping.PAIRS}\n\nbefore\n\n## Data\n\nthree runs\n"
    kept = dataclasses.replace(shipments(tmp_path)[0], card=card)
    renewed = shipping.model_card(kept, "after", "## Data\n\nfour runs\n")
    assert renewed == f"# Model\n\n## {shipping.PAIRS}\n\nafter\n\n## Data\n\nfour runs\n"
    assert shipping.model_card(kept, "before", "") == card
