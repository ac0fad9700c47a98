"""Part affinity fields: drawn as the paper says, and people found in them again."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from says import Says

from keras_pose.codecs.assembly import (
    Candidates,
    Limbs,
    assemble_people,
    find_candidates,
    match_greedy,
    match_hungarian,
    measure_limbs,
    people_among,
)
from keras_pose.codecs.part_affinity import LOWEST, PartAffinityCodec
from keras_pose.models.openpose_channels import OPENPOSE_COCO_18, OPENPOSE_MPI_15

CODEC = PartAffinityCodec((96, 128))
# A standing person, (x, y) in input pixels; names as in OPENPOSE_COCO_18.
STANDING = 12 * np.array(
    [
        *[(2.5, 0.6), (2.5, 1.6)],
        *[(1.5, 1.7), (1.0, 3.2), (1.1, 4.7), (3.5, 1.7), (4.0, 3.2), (3.9, 4.7)],
        *[(1.9, 4.4), (1.8, 5.8), (1.8, 7.2), (3.1, 4.4), (3.2, 5.8), (3.2, 7.2)],
        *[(2.1, 0.3), (2.9, 0.3), (1.7, 0.7), (3.3, 0.7)],
    ]
)


def random_people(num_people, codec=CODEC, num_keypoints=18, seed=0):
    """Returns people in and beside the picture, and flags of all three kinds."""
    rng = np.random.default_rng(seed)
    size_wh = np.array(codec.input_hw[::-1])
    people = rng.uniform(-0.3, 1.3, (num_people, num_keypoints, 2)) * size_wh
    return people.astype(np.float32), rng.integers(0, 3, people.shape[:2])


def formula(codec, people, visibility, skeleton):
    """Equations 6 to 9 of the paper, cell by cell, person by person, limb by limb."""
    height, width = codec.map_hw
    cells_xy = (people.astype(np.float64) + 0.5) / codec.stride - 0.5
    heatmaps = np.zeros((height, width, skeleton.num_keypoints))
    fields = np.zeros((height, width, 2 * len(skeleton.limbs)))
    for y, x in itertools.product(range(height), range(width)):
        point = np.array([x, y])
        for k in range(skeleton.num_keypoints):
            for person, flag in zip(cells_xy[:, k], visibility[:, k], strict=True):
                far = ((point - person) ** 2).sum()
                value = np.exp(-far / (2 * codec.sigma**2)) * (flag > 0)
                heatmaps[y, x, k] = max(heatmaps[y, x, k], value)
        for i, (first, last) in enumerate(skeleton.limb_pairs):
            vectors = []
            for person, flags in zip(cells_xy, visibility, strict=True):
                limb = person[last] - person[first]
                length = np.linalg.norm(limb)
                unit = limb / length
                along = (point - person[first]) @ unit
                across = (point - person[first]) @ (-unit[1], unit[0])
                is_on = 0 <= along <= length and abs(across) <= codec.limb_width
                if is_on and flags[first] > 0 and flags[last] > 0:
                    vectors.append(unit)
            if vectors:
                fields[y, x, 2 * i : 2 * i + 2] = np.mean(vectors, axis=0)
    return heatmaps, fields


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("skeleton", [OPENPOSE_COCO_18, OPENPOSE_MPI_15])
def test_maps_equal_the_papers_formula(seed, skeleton):
    codec = PartAffinityCodec((48, 64), sigma=1.0, limb_width=0.5 + 0.4 * seed)
    people, visibility = random_people(3, codec, skeleton.num_keypoints, seed)

    heatmaps, fields = codec.encode(people, visibility, skeleton)
    expected_heatmaps, expected_fields = formula(codec, people, visibility, skeleton)

    assert np.abs(expected_fields).max() > 0.9
    np.testing.assert_allclose(fields, expected_fields, atol=1e-6)
    # What is lower is not drawn.
    np.testing.assert_allclose(heatmaps[..., :-1], expected_heatmaps, atol=LOWEST)
    background = 1 - heatmaps[..., :-1].max(axis=-1)
    np.testing.assert_allclose(heatmaps[..., -1], background, atol=1e-6)


@pytest.mark.parametrize("num_people", [0, 1, 4])
def test_the_tensorflow_twin_draws_the_same(num_people):
    people, visibility = random_people(num_people)
    absent = np.zeros((2, *people.shape[1:])), np.zeros((2, people.shape[1]), int)
    given = np.concatenate([people, absent[0]]), np.concatenate([visibility, absent[1]])

    def draw(people, visibility):
        return CODEC.encode_tf(people, visibility, OPENPOSE_COCO_18)

    dataset = tf.data.Dataset.from_tensors(given).map(draw)
    expected = CODEC.encode(people, visibility, OPENPOSE_COCO_18)
    for drawn in (draw(*map(tf.constant, given)), next(iter(dataset))):
        for ours, theirs in zip(drawn, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_work_does_not_grow_with_the_map(monkeypatch):
    # Points that are drawn, of the same person in a picture of four times the area.
    drawn = []
    bincount = np.bincount
    monkeypatch.setattr(
        np, "bincount", lambda *a, **k: drawn.append(len(a[0])) or bincount(*a, **k)
    )
    for input_hw in ((96, 128), (192, 256)):
        PartAffinityCodec(input_hw).encode(
            STANDING[None] + 8, np.full((1, 18), 2), OPENPOSE_COCO_18
        )
    assert drawn[0] == drawn[3] < 19 * 100


def decode(people, visibility=None, codec=CODEC, skeleton=OPENPOSE_COCO_18):
    visibility = np.full(people.shape[:2], 2) if visibility is None else visibility
    return codec.decode(*codec.encode(people, visibility, skeleton), skeleton)


@pytest.mark.parametrize("matching", ["greedy", "hungarian"])
def test_two_people_are_found_where_they_were_drawn(matching):
    people = np.stack([STANDING, STANDING + np.array([56, 3])])
    found = decode(people, codec=PartAffinityCodec((96, 128), matching=matching))
    order = np.argsort(found.keypoints_xy[:, 0, 0])
    # Nothing but float32: a Gaussian's logarithm is a parabola. Ears and eyes are nearer
    # to each other than a Gaussian reaches, but have maps of their own.
    np.testing.assert_allclose(found.keypoints_xy[order], people, atol=0.01)
    # The higher cell of two is no lower than a Gaussian half a cell off on both axes.
    assert found.keypoint_scores.min() > np.exp(-0.25 / CODEC.sigma**2)
    np.testing.assert_allclose(found.scores, found.keypoint_scores.mean(axis=1))


def test_keypoints_that_are_not_labelled_are_zero():
    visibility = np.full((1, 18), 2)
    visibility[0, [4, 16, 17]] = 0
    found = decode(STANDING[None], visibility)
    np.testing.assert_array_equal(found.keypoint_scores[0] > 0, visibility[0] > 0)
    assert not found.keypoints_xy[0, [4, 16, 17]].any()


def test_nobody_is_found_in_empty_maps():
    found = decode(np.zeros((0, 18, 2)))
    assert found.keypoints_xy.shape == (0, 18, 2)
    assert found.scores.shape == (0,)


def test_people_of_too_few_keypoints_are_left_out_if_asked_for():
    visibility = np.zeros((1, 18), int)
    visibility[0, 0] = 2
    strict = PartAffinityCodec((96, 128), min_keypoints=3)
    assert len(decode(STANDING[None], visibility).scores) == 1
    assert len(decode(STANDING[None], visibility, strict).scores) == 0


def test_parts_between_which_a_keypoint_is_hidden_are_one_person():
    visibility = np.full((2, 18), 2)
    visibility[0, [1, 16, 17]] = 0  # no neck, no ears: head, arms and legs hang apart
    people = np.stack([STANDING, STANDING + np.array([70, 4])])
    joined = decode(people, visibility)
    np.testing.assert_array_equal((joined.keypoint_scores > 0).sum(axis=1), [18, 15])
    apart = decode(people, visibility, PartAffinityCodec((96, 128), max_gap=0))
    assert len(apart.scores) == 6


def test_a_peak_is_shared_by_people_whose_keypoints_lie_on_each_other():
    # The second person's right wrist is on the first one's left wrist.
    people = np.stack([STANDING, STANDING + (STANDING[7] - STANDING[4])])
    found = decode(people, codec=PartAffinityCodec((96, 128), max_gap=0))
    assert (found.keypoint_scores > 0).all()  # wrists of two kinds have maps of their own
    people[1, 4] = people[0, 4]
    found = decode(people, codec=PartAffinityCodec((96, 128), max_gap=0))
    assert len(found.scores) == 2
    assert (found.keypoint_scores > 0).all()
    np.testing.assert_allclose(found.keypoints_xy[0, 4], found.keypoints_xy[1, 4])


def test_a_limb_shorter_than_a_cell_is_still_a_limb():
    # Five keypoints within a few pixels, as of a face far away.
    far = STANDING * 0.06 + 50
    found = decode(far[None])
    assert (found.keypoint_scores > 0).sum() == 18
    assert len(found.scores) == 1


def test_the_order_of_the_peaks_does_not_matter():
    people, _ = random_people(6, seed=4)
    heatmaps, fields = CODEC.encode(people, np.full(people.shape[:2], 2), OPENPOSE_COCO_18)
    rules, pairs = CODEC._rules, OPENPOSE_COCO_18.limb_pairs
    candidates = find_candidates(heatmaps[..., :-1], rules)
    expected = assemble_people(heatmaps[..., :-1], fields, pairs, rules)
    assert len(expected.scores)
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(len(candidates.scores))
        found = people_among(candidates.take(shuffled), fields, pairs, 18, rules)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_of_a_plateau_one_cell_is_the_peak():
    heatmaps = np.zeros((5, 6, 1), np.float32)
    heatmaps[1:3, 2:5] = 0.5  # as integers round a wide peak
    found = find_candidates(heatmaps, CODEC._rules)
    assert found.scores.tolist() == [0.5]


def test_no_more_candidates_than_allowed_and_those_are_the_highest():
    heatmaps = np.zeros((9, 9, 2), np.float32)
    heatmaps[::2, ::2, 0] = np.linspace(0.2, 0.9, 25).reshape(5, 5)
    heatmaps[4, 4, 1] = 0.3
    codec = PartAffinityCodec((96, 128), max_peaks=3)
    found = find_candidates(heatmaps, codec._rules)
    assert sorted(found.keypoints.tolist()) == [0, 0, 0, 1]
    assert found.scores[found.keypoints == 0].min() > 0.8


def measured(*ends_xy, field, codec=CODEC):
    """Returns the limbs of one kind from the first end to all others, in an even field."""
    xy = np.array(ends_xy, np.float32)
    kinds = np.minimum(np.arange(len(xy)), 1)
    candidates = Candidates(kinds, xy, np.ones(len(xy), np.float32))
    fields = np.broadcast_to(np.array(field, np.float32), (12, 16, 2))
    return measure_limbs(candidates, fields, [(0, 1)], codec._rules)


def test_scores_of_limbs_do_not_hang_on_how_many_are_measured():
    # Of one pair alone, NumPy would add the points in another order than of several.
    codec = PartAffinityCodec((96, 128), num_points=37, min_field=0)
    rng = np.random.default_rng(0)
    ends_xy = rng.uniform(0, 11, (40, 2))
    field = (0.3, 0.7)
    together = measured((0, 0), *ends_xy, field=field, codec=codec)
    assert len(together.scores) == 40
    for end_xy, score in zip(ends_xy, together.scores, strict=True):
        alone = measured((0, 0), end_xy, field=field, codec=codec)
        assert alone.scores.tolist() == [score]


@pytest.mark.parametrize(("above", "count"), [(-1, 0), (1, 1)])
def test_a_field_beside_its_threshold_is_decided_in_double_precision(above, count):
    component = np.nextafter(np.float32(0.05), np.float32(above))
    assert (component > 0.05) == (count == 1)
    assert len(measured((0, 0), (8, 0), field=(component, 0)).scores) == count


def test_a_field_that_is_no_number_leaves_near_candidates_their_limb():
    found = measured((4, 4), (4.5, 4), field=(np.nan, np.nan))
    np.testing.assert_allclose(found.scores, [0.05 * 1.5], rtol=1e-6)


def test_people_of_equal_scores_stand_by_their_first_candidate():
    # The same person twice, 8 cells apart: all numbers are equal.
    codec = PartAffinityCodec((96, 128), max_gap=0)
    people = np.stack([STANDING + np.array([64, 0]), STANDING])
    found = decode(np.rint(people / 8) * 8 + 3.5, codec=codec)
    assert found.scores[0] == found.scores[1]
    assert found.keypoints_xy[0, 0, 0] < found.keypoints_xy[1, 0, 0]


def as_limbs(scores):
    """Returns limbs of one kind from candidates 0, 1 to candidates 2, 3."""
    first, last = np.nonzero(np.array(scores))
    values = np.array(scores, np.float32)[first, last]
    return Limbs(np.zeros_like(first), first, last + 2, values)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param(match_greedy, {(0, 2)}, id="greedy_takes_the_best_first"),
        pytest.param(match_hungarian, {(0, 3), (1, 2)}, id="hungarian_takes_the_best_sum"),
    ],
)
def test_matching(match, expected):
    found = match(as_limbs([[0.9, 0.8], [0.7, 0.0]]), 4)
    assert set(zip(found.first.tolist(), found.last.tolist(), strict=True)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_greedy_rounds_equal_one_by_one(seed):
    rng = np.random.default_rng(seed)
    limbs = Limbs(
        *(rng.integers(0, n, 200) for n in (3, 20, 20)),
        rng.random(200).astype(np.float32),
    )
    used, expected = set(), []
    for i in np.argsort(-limbs.scores):
        ends = {(limbs.limbs[i], 0, limbs.first[i]), (limbs.limbs[i], 1, limbs.last[i])}
        if not ends & used:
            used |= ends
            expected.append(i)
    np.testing.assert_array_equal(match_greedy(limbs, 20).scores, limbs.scores[expected])


def test_the_stronger_limb_decides_whose_a_keypoint_is():
    # Two necks, one right shoulder whose limbs lead to both by different ways.
    visibility = np.full((2, 18), 2)
    people = np.stack([STANDING, STANDING + np.array([40, 0])])
    heatmaps, fields = CODEC.encode(people, visibility, OPENPOSE_COCO_18)
    found = CODEC.decode(heatmaps, 0.5 * fields, OPENPOSE_COCO_18)
    assert len(found.scores) == 2
    # No person has two keypoints of a kind by construction; here none is lost either.
    assert (found.keypoint_scores > 0).all()


def test_two_hundred_people_take_bounded_memory():
    import tracemalloc

    codec = PartAffinityCodec((640, 640))
    rng = np.random.default_rng(0)
    people = 0.5 * STANDING + rng.uniform(0, 580, (200, 1, 2))
    maps = codec.encode(people, np.full(people.shape[:2], 2), OPENPOSE_COCO_18)
    tracemalloc.start()
    found = codec.decode(*maps, OPENPOSE_COCO_18)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.scores) > 100
    # 200 x 200 pairs of 19 limbs at 10 points would be 60 MB a temporary array alone.
    assert peak < 60e6


def test_candidates_on_the_border_of_the_map_are_read_inside_it():
    xy = np.array([[-0.5, -0.5], [15.5, 11.5]], np.float32)
    candidates = Candidates(np.array([0, 1]), xy, np.ones(2, np.float32))
    fields = np.ones((12, 16, 38), np.float32)
    found = people_among(candidates, fields, OPENPOSE_COCO_18.limb_pairs, 18, CODEC._rules)
    assert (found.keypoint_scores > 0).sum() == 2


@pytest.mark.parametrize(
    ("heatmaps", "fields"), [((12, 16, 19), (12, 16, 36)), ((12, 15, 19), (12, 15, 38))]
)
def test_maps_of_other_limbs_or_sizes_are_refused(heatmaps, fields):
    with Says(
        "has 18 keypoints and 19 limbs, so heatmaps must be (12, 16, 19)",
        do="Decode with the skeleton and the input size of the file's contract.",
    ).refuses():
        CODEC.decode(np.zeros(heatmaps), np.zeros(fields), OPENPOSE_COCO_18)


@pytest.mark.parametrize("input_hw", [(4, 96), (100, 96)])
def test_inputs_that_are_no_multiple_of_the_stride_are_refused(input_hw):
    with Says(
        "must be a multiple of its stride 8",
        do="Choose an --input-hw whose height and width are multiples of the stride.",
    ).refuses():
        PartAffinityCodec(input_hw)


@pytest.mark.parametrize(
    "values",
    [
        {"sigma": 0},
        {"num_points": 0},
        {"max_gap": -1},
        {"min_share": 1.5},
        {"matching": "best"},
    ],
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        PartAffinityCodec((96, 128), **values)
