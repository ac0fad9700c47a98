"""Cases of pure mathematics: stored, stable, and right by independent arithmetic."""

from pathlib import Path

import numpy as np
import pytest

from keras_pose.contracts.pose import Contract
from keras_pose.parity import read_pack, replay
from keras_pose.parity.clips import ColourNetwork, ShakenNetwork, run_frames
from keras_pose.parity.kinds import KINDS
from keras_pose.parity.maths import maths_cases
from keras_pose.parity.packs import largest_difference
from keras_pose.parity.scenes import colour_clip
from keras_pose.parity.tolerances import FIELDS

STORED = Path(__file__).resolve().parents[3] / "mobile_demo" / "parity"


@pytest.fixture(scope="module")
def cases():
    return {case.name: case for case in maths_cases()}


@pytest.fixture(scope="module")
def stored():
    return read_pack(STORED)


def leaves(value, path=""):
    """Yields the path and the value of everything in nested fields."""
    if isinstance(value, dict) and "tolerance" not in value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list | tuple) and not all(
        isinstance(v, int | float) for v in value
    ):
        for i, item in enumerate(value):
            yield from leaves(item, f"{path}[{i}]")
    else:
        yield path, value


def test_the_stored_pack_replays(stored):
    results = replay(stored)

    assert len(results) > 250
    assert [result for result in results if not result.is_within] == []


def test_the_stored_pack_is_what_is_written_today(stored, cases):
    # After a change: python export/parity_pack.py --output mobile_demo/parity
    assert [case.name for case in stored.cases] == list(cases)
    for case in stored.cases:
        today = cases[case.name]
        assert (case.kind, case.needs) == (today.kind, today.needs)
        given = dict(leaves(today.given))
        for path, value in leaves(case.given):
            assert (
                largest_difference(value, given[path]) <= 1e-6
                if isinstance(value, np.ndarray)
                else value
                == (list(given[path]) if isinstance(value, list) else given[path])
            )
        expected = dict(leaves(today.expected))
        for path, value in leaves(case.expected):
            difference = largest_difference(expected[path], value["array"])
            assert difference <= value["tolerance"], (case.name, path)


def test_the_stored_pack_is_small():
    size = sum(path.stat().st_size for path in STORED.rglob("*") if path.is_file())
    assert size < 1_000_000


@pytest.mark.parametrize(
    "kind", ["gaussian", "dark", "udp", "udp_offset", "simcc", "regression"]
)
def test_known_answers_are_found(cases, kind):
    # What `maths` draws: the first numbers of its generator.
    truth_xy = np.random.default_rng(1).uniform([9, 9], [38, 54], (6, 2))
    case = cases[f"decode/{kind}_known_answers"]
    # A rounded centre is half a heatmap pixel (2) off at most, and noise alone says which
    # way the quarter (1) goes.
    bound = {"gaussian": 3.0, "simcc": 0.26, "regression": 1e-4}.get(kind, 0.5)
    np.testing.assert_allclose(case.expected["crop_xy"], truth_xy, atol=bound)


def exact_crop(image, crop_to_image, output_hw):
    """Samples bilinearly in double precision, black outside; rounds halves up."""
    rows, columns = np.mgrid[: output_hw[0], : output_hw[1]]
    points = (
        np.stack([columns, rows], axis=-1) @ crop_to_image[:, :2].T + crop_to_image[:, 2]
    )
    corner = np.floor(points).astype(int)
    share = points - corner
    total = np.zeros((*output_hw, 3))
    for dy in (0, 1):
        for dx in (0, 1):
            x, y = corner[..., 0] + dx, corner[..., 1] + dy
            inside = (x >= 0) & (x < image.shape[1]) & (y >= 0) & (y < image.shape[0])
            values = image[y.clip(0, image.shape[0] - 1), x.clip(0, image.shape[1] - 1)]
            weight = np.abs(1 - dx - share[..., 0]) * np.abs(1 - dy - share[..., 1])
            total += values * (weight * inside)[..., None]
    return np.floor(total + 0.5)


def test_crops_are_exact_bilinear_sampling_to_a_level(cases):
    crops = [case for case in cases.values() if case.kind == "crop"]
    assert len(crops) > 10
    for case in crops:
        matrix = case.expected["crop_to_image"]
        exact = exact_crop(case.given["image"], matrix, case.given["input_hw"])
        assert np.abs(exact - case.expected["crop"]).max() <= 1, case.name


def test_letterboxes_are_exact_bilinear_resizing_to_a_level(cases):
    for case in (case for case in cases.values() if case.kind == "letterbox"):
        image, (height, width) = case.given["image"], case.expected["content_hw"]
        # Resizing counts from pixel edges, so centres lie at halves; edges repeat.
        scale_y, scale_x = image.shape[0] / height, image.shape[1] / width
        shift = [[scale_x, 0, scale_x / 2 - 0.5], [0, scale_y, scale_y / 2 - 0.5]]
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
        matrix = np.array(shift)
        matrix[:, 2] += 1  # of the padding
        exact = exact_crop(padded, matrix, (height, width))
        content = case.expected["boxed"][:height, :width]
        assert np.abs(exact - content).max() <= 1, case.name
        assert (case.expected["boxed"][height:] == 114).all()
        assert (case.expected["boxed"][:, width:] == 114).all()


def test_quantized_outputs_decode_like_real_ones(cases):
    # A step of the integers may turn a quarter of a heatmap pixel round.
    for kind, bound in (("gaussian", 2.0), ("dark", 0.25)):
        real = cases[f"decode/{kind}_known_answers"].expected["crop_xy"]
        rounded = cases[f"decode/{kind}_known_answers_int8"].expected["crop_xy"]
        np.testing.assert_allclose(rounded, real, atol=bound)


def test_the_clip_has_what_it_is_for(cases):
    frames = cases["clip/colours"].expected["frames"]
    asked = [bool(frame["is_detected"][0]) for frame in frames]
    assert asked[0]
    assert not all(asked)
    assert [len(frame["track_ids"]) for frame in frames][::11] == [2, 1]  # one leaves
    assert any(-1 in frame["track_ids"] for frame in frames)


def test_the_clip_stays_when_pixels_change_by_a_level():
    clip = colour_clip()
    contract = Contract.from_dict(clip["contract"])
    expected = list(run_frames(clip, contract, ColourNetwork(contract)))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        shaken = ShakenNetwork(ColourNetwork(contract), rng, share=0.2)
        for frame, moved in zip(expected, run_frames(clip, contract, shaken), strict=True):
            np.testing.assert_array_equal(moved["track_ids"], frame["track_ids"])
            np.testing.assert_allclose(
                moved["smoothed_xy"], frame["smoothed_xy"], atol=0.05
            )


def test_of_cells_that_see_one_person_the_best_stays(cases):
    scores = {
        name: [round(float(x), 2) for x in case.expected["scores"]]
        for name, case in cases.items()
        if case.given.get("contract", {}).get("task") == "one_stage"
    }
    assert scores == {
        "people/doubles_go": [0.95, 0.9, 0.75, 0.75, 0.3],
        "people/at_most_three_and_apart": [0.95, 0.9, 0.75],
        "people/nobody": [],
    }


def test_bottom_up_networks_see_what_was_drawn(cases):
    prefix = "people/bottom_up_"
    found = {
        name.removeprefix(prefix): case.expected
        for name, case in cases.items()
        if name.startswith(prefix)
    }
    counts = {
        name: (people["keypoint_scores"] > 0).sum(axis=1).tolist()
        for name, people in found.items()
    }
    assert counts["two_people"] == [7, 7]
    assert counts["nobody"] == []
    assert counts["a_crowd_whose_limbs_cross"] == [7] * 4  # two stand on others
    assert counts["beyond_the_borders"] == [6, 6, 6, 5]
    # The first's feet hang at no hip; of a hand that two share there is one peak.
    assert counts["parts_and_shared_peaks"][:3] == [7, 7, 6]
    assert counts["other_limbs_in_float32"] == [3, 3]
    for name in ("equals_in_order", "more_equals_in_order", "at_most_three_peaks"):
        scores = found[name]["scores"].tolist()
        assert len(set(scores)) < len(scores) > 2


def test_walkers_are_told_apart(cases):
    ids = [
        frame["track_ids"]
        for frame in cases["tracks/two_pass_one_waits_one_returns"].expected["frames"]
    ]
    # Three people, the one who stays away for longer than the patience is a fourth.
    assert sorted(set(np.concatenate(ids).tolist())) == [-1, 0, 1, 2, 3]
    assert ids[6].tolist()[:3] == [0, 1, 2]
    assert 3 in ids[13]


def test_the_page_explains_every_kind_and_field():
    page = (STORED.parents[1] / "docs" / "parity_pack.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
    assert [name for name in FIELDS if f"`{name}`" not in page] == []
