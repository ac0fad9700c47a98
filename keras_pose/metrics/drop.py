"""The drop: how much worse one file is than another."""

# A point is a hundredth of a figure between 0 and 1.
POINTS = 100


def drop(reference: float, value: float, lower_is_better: bool = False) -> float:
    """Returns what was lost of a reference, in the unit of the figure.

    Args:
        reference: figure of the file that others are compared with.
        value: the same figure of another file.
        lower_is_better: True for errors, of which less is better.

    Returns:
        A positive number for a loss, a negative one for a gain.
    """
    return value - reference if lower_is_better else reference - value
