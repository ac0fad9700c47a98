"""The assigner and the loss against a restatement in loops, one box at a time."""

import numpy as np
import pytest

from keras_pose.losses.detection_losses import (
    IGNORED,
    MIN_TEACHER_SCORE,
    PADDING,
    BoxLoss,
    assign,
    giou,
    prior_table,
    quality_focal,
)

INPUT_HW, STRIDES = (64, 96), (8, 16, 32)
PRIORS = prior_table(INPUT_HW, STRIDES)


def _iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _focal(logit, quality):
    score = 1 / (1 + np.exp(-logit))
    entropy = -quality * np.log(score) - (1 - quality) * np.log(1 - score)
    return entropy * (score - quality) ** 2


def _assign_in_loops(logits, boxes, objects):
    """Returns {cell: object}, as DynamicSoftLabelAssigner chooses."""
    inside = [
        [x1 < x < x2 and y1 < y < y2 for x1, y1, x2, y2, _ in objects] for x, y, _ in PRIORS
    ]
    cells = [n for n, flags in enumerate(inside) if any(flags)]
    overlap = {(n, m): _iou(boxes[n], o[:4]) for n in cells for m, o in enumerate(objects)}
    cost = {}
    for n in cells:
        x, y, stride = PRIORS[n]
        for m, (x1, y1, x2, y2, label) in enumerate(objects):
            apart = np.hypot(x - (x1 + x2) / 2, y - (y1 + y2) / 2) / stride
            wanted = np.zeros(logits.shape[-1])
            wanted[int(label)] = overlap[n, m]
            classes = sum(_focal(z, q) for z, q in zip(logits[n], wanted, strict=True))
            place = 10 ** (apart - 3)
            cost[n, m] = classes - 3 * np.log(overlap[n, m] + 1e-7) + place
    takers = {}
    for m in range(len(objects)):
        best = sorted((overlap[n, m] for n in cells), reverse=True)[:13]
        wanted = max(int(sum(best)), 1)
        for n in sorted(cells, key=lambda n: cost[n, m])[:wanted]:
            takers.setdefault(n, []).append(m)
    for n, wanting in takers.items():
        if len(wanting) > 1:
            takers[n] = [min(range(len(objects)), key=lambda m: cost[n, m])]
    return {n: chosen for n, (chosen,) in takers.items()}, overlap


def _scene(seed, num_objects=3, num_classes=1):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, [50, 30], (num_objects, 2))
    sides = rng.uniform(10, 40, (num_objects, 2))
    label = rng.integers(0, num_classes, (num_objects, 1))
    objects = np.concatenate([corner, corner + sides, label], axis=1)
    logits = rng.normal(size=(len(PRIORS), num_classes))
    reach = rng.uniform(0.3, 3, (len(PRIORS), 4)) * PRIORS[:, 2:]
    return objects, logits, reach


def _padded(objects, length=8):
    truth = np.zeros((length, 5), np.float32)
    truth[:, 4] = PADDING
    truth[: len(objects)] = objects
    return truth


def _boxes(reach):
    return np.concatenate([PRIORS[:, :2] - reach[:, :2], PRIORS[:, :2] + reach[:, 2:]], 1)


@pytest.mark.parametrize("num_classes", [1, 3])
def test_cells_answer_for_the_objects_that_mmdets_rule_gives_them(num_classes):
    scenes = [_scene(seed, num_classes=num_classes) for seed in range(6)]
    truth = np.stack([_padded(objects) for objects, _, _ in scenes])
    logits = np.stack([logits for _, logits, _ in scenes]).astype(np.float32)
    boxes = np.stack([_boxes(reach) for _, _, reach in scenes]).astype(np.float32)

    quality, targets, _ = (np.array(x) for x in assign(PRIORS, logits, boxes, truth))

    num_shared = 0
    for b, (objects, scene_logits, reach) in enumerate(scenes):
        expected, overlap = _assign_in_loops(scene_logits, _boxes(reach), objects)
        assert set(np.flatnonzero(quality[b].sum(axis=-1))) == set(expected)
        for n, m in expected.items():
            assert quality[b, n].argmax() == objects[m, 4]
            assert quality[b, n].max() == pytest.approx(overlap[n, m], abs=1e-5)
            np.testing.assert_allclose(targets[b, n], objects[m, :4], atol=1e-4)
        num_shared += len(expected) > 3
    assert num_shared == 6  # each scene has objects with several cells


def test_the_loss_is_the_sum_over_the_batch_by_its_qualities():
    scenes = [_scene(seed) for seed in range(3)]
    truth = np.stack([_padded(objects) for objects, _, _ in scenes])
    predicted = np.stack([np.concatenate(scene[1:], axis=1) for scene in scenes])

    losses = np.array(BoxLoss(INPUT_HW, STRIDES, reduction=None)(truth, predicted))

    total, qualities = 0.0, 0.0
    for objects, logits, reach in scenes:
        chosen, overlap = _assign_in_loops(logits, _boxes(reach), objects)
        for n, logit in enumerate(logits[:, 0]):
            quality = overlap[n, chosen[n]] if n in chosen else 0.0
            total += _focal(logit, quality)
            qualities += quality
            if n in chosen:
                box = _boxes(reach)[n]
                union_share = np.array(giou(box[None], objects[chosen[n]][None, :4]))[0]
                total += 2 * (1 - union_share) * quality
    assert losses.shape == (3,)
    assert losses.mean() == pytest.approx(total / max(qualities, 1), rel=1e-4)


def test_parts_of_a_batch_are_divided_by_the_qualities_of_the_whole():
    scenes = [_scene(seed) for seed in range(3)]
    truth = np.stack([_padded(objects) for objects, _, _ in scenes])
    predicted = np.stack([np.concatenate(scene[1:], axis=1) for scene in scenes])
    loss = BoxLoss(INPUT_HW, STRIDES)

    for lost in (lambda i: loss(truth[i], predicted[i]),
                 lambda i: loss.distance(predicted[i], predicted[::-1][i])):  # fmt: skip
        sums = []
        loss.sum_over_replicas = lambda own, sums=sums: sums.append(own) or own
        whole = np.mean(lost(slice(None)))
        loss.sum_over_replicas = lambda own, sums=sums: sums[0]
        parts = [np.mean(lost(slice(i, i + 1))) for i in range(3)]
        assert np.mean(parts) == pytest.approx(whole, rel=1e-5)


def test_a_teacher_is_copied_cell_by_cell():
    own, other = (_scene(seed)[1:] for seed in (0, 1))
    logits, teacher_logits = (scene[0][:, 0] for scene in (own, other))
    rows = [np.concatenate(scene, axis=1)[None] for scene in (own, other)]
    loss = BoxLoss(INPUT_HW, STRIDES)

    qualities = 1 / (1 + np.exp(-teacher_logits))
    weights = np.where(qualities > MIN_TEACHER_SCORE, qualities, 0)
    unlike = 1 - np.array(giou(_boxes(own[1]), _boxes(other[1])))
    scores = [_focal(a, b) for a, b in zip(logits, qualities, strict=True)]
    expected = (np.sum(scores) + 2 * (unlike * weights).sum()) / max(weights.sum(), 1)
    assert 0 < (weights > 0).sum() < len(weights)  # else a case is not seen
    (distance,) = np.array(loss.distance(*rows))
    assert distance == pytest.approx(expected, rel=1e-4)
    (none,) = np.array(loss.distance(rows[0], rows[0]))
    assert none == pytest.approx(0, abs=1e-5)


def test_giou_by_arithmetic():
    first = np.array([[0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 2, 2]], np.float32)
    second = np.array([[0, 0, 2, 2], [3, 0, 4, 1], [1, 0, 3, 2]], np.float32)

    # Equal; two apart in a hull of 4; overlapping by 2 of 6 in a hull that is the union.
    np.testing.assert_allclose(np.array(giou(first, second)), [1, -0.5, 1 / 3], atol=1e-6)


def test_quality_focal_loss_is_finite_far_from_the_answer():
    values = np.array(quality_focal(np.array([-500.0, 500.0], np.float32), 0.5))

    np.testing.assert_allclose(values, [500 * 0.5 * 0.25] * 2)


def test_an_image_without_objects_only_asks_for_low_scores():
    truth = _padded(np.zeros((0, 5)))[None]
    predicted = np.zeros((1, len(PRIORS), 5), np.float32)

    quality, _, counts = assign(PRIORS, predicted[..., :1], predicted[..., 1:], truth)
    loss = BoxLoss(INPUT_HW, STRIDES)(truth, predicted)

    assert not np.array(quality).any()
    assert np.array(counts).all()
    assert float(loss) == pytest.approx(len(PRIORS) * np.log(2) / 4, rel=1e-5)


def test_cells_in_ignored_regions_do_not_count_unless_they_answer_for_somebody():
    objects = np.array([[0, 0, 40, 40, 0], [20, 20, 90, 60, IGNORED]])
    _, logits, reach = _scene(0)
    boxes = _boxes(reach)[None].astype(np.float32)

    quality, _, counts = assign(
        PRIORS, logits[None].astype(np.float32), boxes, _padded(objects)[None]
    )

    x, y = PRIORS[:, 0], PRIORS[:, 1]
    is_in_region = (x > 20) & (x < 90) & (y > 20) & (y < 60)
    answers = np.array(quality)[0, :, 0] > 0
    np.testing.assert_array_equal(np.array(counts)[0], ~is_in_region | answers)
    assert not answers[(x >= 40) | (y >= 40)].any()


def test_an_object_between_all_cells_asks_for_nothing():
    # 2 pixels wide and off the grid of 8: no cell lies inside.
    objects = np.array([[3.0, 3.0, 5.0, 5.0, 0]])
    _, logits, reach = _scene(0)

    quality, _, _ = assign(
        PRIORS,
        logits[None].astype(np.float32),
        _boxes(reach)[None].astype(np.float32),
        _padded(objects)[None],
    )

    assert not np.array(quality).any()


def test_priors_are_the_points_of_all_levels_in_one_row():
    assert len(PRIORS) == 8 * 12 + 4 * 6 + 2 * 3
    np.testing.assert_array_equal(PRIORS[[0, 1, 12, 96, 97]], [
        [0, 0, 8], [8, 0, 8], [0, 8, 8], [0, 0, 16], [16, 0, 16],
    ])  # fmt: skip


def test_the_loss_survives_saving():
    loss = BoxLoss(INPUT_HW, STRIDES)

    assert BoxLoss.from_config(loss.get_config()).get_config() == loss.get_config()
