"""JSON read list by list: the same values as by `json`, wherever a piece of text ends."""

import json

import pytest

from keras_pose.data.readers import json_sections
from keras_pose.data.readers.json_sections import read_sections

VALUES = {
    "info": {"year": 2026, "of": [1.5e-3, True, None, 'ä€😀 \\ " ]},{']},
    "images": [{"id": 12345, "name": "a, b]"}, {"id": -1e5}, 17, "x", [[]], {}],
    "none": [],
    "annotations": [],
    "count": 1234567,
}


def _read(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding)
    found = {}
    for name, value in read_sections(path, ("images", "annotations")):
        found[name] = found[name] + value if name in found else value
    return found


@pytest.fixture(params=[1, 2, 3, 7, 1000])
def piece(request, monkeypatch):
    monkeypatch.setattr(json_sections, "_PIECE", request.param)
    monkeypatch.setattr(json_sections, "BATCH", 2)


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("options", [{}, {"indent": 3}, {"separators": (",", ":")}])
def test_values_are_those_of_json(tmp_path, options):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        text = json.dumps(VALUES, ensure_ascii=False, **options)
        assert _read(tmp_path / "a.json", text, encoding) == VALUES


@pytest.mark.usefixtures("piece")
def test_every_truncation_is_told(tmp_path):
    text = json.dumps(VALUES)
    for length in range(0, len(text), 5):
        with pytest.raises(ValueError, match=r"a\.json is not valid JSON"):
            _read(tmp_path / "a.json", text[:length])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [1, 2,]}', "expected a value"),
        ('{"images": [1 2]}', "expected , or ]"),
        ('{"images" [1]}', "expected :"),
        ("{1: 2}", "a name in double quotes"),
        ('{"a": 1} x', "something follows"),
        ('{"images": [{"a": 1}, {"b": }, {"c": 1}]}', "character 28"),
        ("[1, 2]", "expected an object at the top"),
        ('{"a": 1, "a": 2}', "the section 'a' twice"),
        ('{"images": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        _read(tmp_path / "a.json", text)


def test_lists_come_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(json_sections, "BATCH", 4)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": list(range(10))}))
    batches = [value for _, value in read_sections(path, ("images",))]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
