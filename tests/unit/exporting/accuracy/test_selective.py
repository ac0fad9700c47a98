"""Which operators stay in float."""

import pytest

from keras_pose.exporting.accuracy.layer_errors import LayerError
from keras_pose.exporting.accuracy.selective import Step, select_float_ops

NUM_OPS = 40


def _error(index, isolated, inputs=0.0, result=0.0, makers=(), readers=()):
    """Makes an error, mostly of the weights unless it is said otherwise."""
    name = f"op{index}"
    parts = {"isolated": isolated, "inputs": inputs, "result": result}
    return LayerError(
        name, "CONV_2D", (name,), cumulative=0.0, clipped=0.0, makers=makers,
        readers=readers, **parts,
    )  # fmt: skip


def _errors():
    """The worst operator stands in the middle, the second worst at its side, and so on."""
    return [_error(i, 1 / (1 + abs(i - 20) + 0.1 * (i > 20))) for i in range(NUM_OPS)]


def _attempt(bad_ops):
    """Returns an attempt that loses a point for each bad operator that is not in float."""

    def attempt(float_ops):
        return Step(float_ops, float(len(set(bad_ops) - set(float_ops))), len(float_ops))

    return attempt


def _select(bad_ops, max_drop, errors=None):
    attempt = _attempt(bad_ops)
    return select_float_ops(attempt(()), lambda: errors or _errors(), attempt, max_drop)


def test_int8_throughout_is_enough_where_it_is():
    selection = _select(["op20"], max_drop=1.0)
    assert selection.fits
    assert selection.chosen.float_ops == ()
    assert len(selection.steps) == 1  # an evaluation takes its time


@pytest.mark.parametrize("num_bad", [1, 2, 3, 5, 6, 9])
def test_no_more_operators_than_needed_become_float(num_bad):
    ranked = sorted(_errors(), key=lambda each: -each.isolated)
    bad = [each.tensor for each in ranked[:num_bad]]
    selection = _select(bad, max_drop=0.5)
    assert selection.fits
    assert set(selection.chosen.float_ops) == set(bad)
    assert len(selection.steps) <= 9


def test_where_half_in_float_is_not_enough_the_best_is_returned_and_said_not_to_fit():
    bad = [f"op{i}" for i in range(NUM_OPS)]
    selection = _select(bad, max_drop=0.5)
    assert not selection.fits
    assert selection.chosen.drop == min(step.drop for step in selection.steps)
    assert 0 < len(selection.chosen.float_ops) <= NUM_OPS / 2


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        pytest.param("inputs", ("op5", "op4"), id="makers"),
        pytest.param("result", ("op5", "op6"), id="readers"),
        pytest.param("weights", ("op5",), id="alone"),
    ],
)
def test_what_touches_the_tensor_to_blame_goes_along(cause, expected):
    parts = {} if cause == "weights" else {cause: 0.8}
    bad = _error(5, 0.9, makers=("op4", "elsewhere"), readers=("op6",), **parts)
    errors = [*(_error(i, 0.01) for i in range(40) if i != 5), bad]
    selection = _select(["op5"], max_drop=0.0, errors=errors)
    assert selection.chosen.float_ops == expected


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="at least 0, got -1"):
        _select([], max_drop=-1)
