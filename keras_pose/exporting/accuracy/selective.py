"""Selective float: which operators of an int8 file are to compute in float, so that the
file loses no more of the metric than it may.

The operators that lose most by themselves go first (`layer_errors`), in groups that grow
with every step, since every step costs an evaluation. A tensor is only spared its rounding
if all that touch it compute in float: so where most is lost by an operator's inputs, those
that make them go along, and where by its result, those that read it. Once the drop fits,
the last group is halved as long as it still does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keras_pose.exporting.accuracy.layer_errors import LayerError, worst_first

# Beyond half of the operators in float, a file has lost what it was made int8 for.
MAX_FLOAT_SHARE = 0.5
# The first group is this share of all operators, at least one.
FIRST_SHARE = 0.03
NUM_HALVINGS = 3


@dataclass(frozen=True)
class Step:
    """One file that was tried.

    Attributes:
        float_ops: operators in float, by their tensors' names.
        drop: loss of the metric, points (hundredths); negative for a gain.
        num_bytes: its size.
    """

    float_ops: tuple[str, ...]
    drop: float
    num_bytes: int


@dataclass(frozen=True)
class Selection:
    """Result of a search.

    Attributes:
        steps: all that was tried, in turn; the first is int8 throughout.
        chosen: the file with the fewest operators in float whose drop fits, or, where
            none fits, the one that lost least.
        fits: True if its drop is at most what was allowed.
    """

    steps: tuple[Step, ...]
    chosen: Step
    fits: bool


def select_float_ops(
    whole: Step,
    measure_errors: Callable[[], Sequence[LayerError]],
    attempt: Callable[[tuple[str, ...]], Step],
    max_drop: float,
) -> Selection:
    """Searches for the fewest operators in float that will do.

    Args:
        whole: the file that is int8 throughout.
        measure_errors: returns that file's; not called if it will do.
        attempt: makes and measures a file with some operators in float.
        max_drop: points that may be lost.

    Raises:
        ValueError: for a limit below 0.
    """
    if max_drop < 0:
        raise ValueError(f"The drop that is allowed must be at least 0, got {max_drop}.")
    if whole.drop <= max_drop:
        return Selection((whole,), whole, fits=True)
    steps = [whole]
    errors = measure_errors()
    ranked = [_with_neighbours(each, errors) for each in worst_first(errors)]
    for count in _group_sizes(len(ranked)):
        float_ops = _joined(ranked[:count])
        if len(float_ops) > MAX_FLOAT_SHARE * len(errors):
            break
        steps.append(attempt(float_ops))
        if steps[-1].drop <= max_drop:
            _halve(ranked, steps, attempt, max_drop)
            break
    fitting = [step for step in steps if step.drop <= max_drop]
    if fitting:
        chosen = min(fitting, key=lambda step: len(step.float_ops))
        return Selection(tuple(steps), chosen, fits=True)
    return Selection(tuple(steps), min(steps, key=lambda step: step.drop), fits=False)


def _group_sizes(total: int):
    """Yields how many operators to take, twice as many every time."""
    count = max(1, round(FIRST_SHARE * total))
    while count < total:
        yield count
        count *= 2


def _halve(ranked, steps, attempt, max_drop) -> None:
    """Tries fewer operators between the last two steps, which lie on both sides."""
    too_few, enough = (_count(ranked, step.float_ops) for step in steps[-2:])
    for _ in range(NUM_HALVINGS):
        count = (too_few + enough) // 2
        if count in (too_few, enough):
            return
        steps.append(attempt(_joined(ranked[:count])))
        if steps[-1].drop <= max_drop:
            enough = count
        else:
            too_few = count


def _count(ranked, float_ops) -> int:
    """Returns how many of the ranked groups make up some operators."""
    return next(i for i in range(len(ranked) + 1) if _joined(ranked[:i]) == float_ops)


def _with_neighbours(error: LayerError, errors) -> tuple[str, ...]:
    known = {each.tensor for each in errors}
    neighbours = {"inputs": error.makers, "result": error.readers}.get(error.cause, ())
    return (error.tensor, *(name for name in neighbours if name in known))


def _joined(groups) -> tuple[str, ...]:
    """Joins groups in their order, each operator once."""
    return tuple(dict.fromkeys(name for group in groups for name in group))
