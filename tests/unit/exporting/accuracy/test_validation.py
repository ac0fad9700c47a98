"""What `--max-drop` measures on."""

from own_keypoints import ToyModel, write_toys

from keras_pose.exporting.accuracy import validation


def test_own_keypoints_are_opened_by_the_model(tmp_path, monkeypatch, capsys):
    model = ToyModel()
    monkeypatch.setattr(validation, "open_model", lambda *_: model)
    folder = write_toys(tmp_path / "toys")

    opened = validation.open_validation(model.contract, "coco", folder)

    assert opened.figure == "PCK_box@0.1"
    assert opened.description == "3 people of coco val"
    # One of five keypoints, the hands' middle, lies near the middle of its box.
    assert 0 <= opened.measure(tmp_path / "toy.tflite", model.contract) < 0.5
    assert "no OKS sigmas" in capsys.readouterr().out
