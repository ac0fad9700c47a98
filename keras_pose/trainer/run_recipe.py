"""Parts that recipes of all kinds share: rules, changes, and how they become files."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, ClassVar, Self

SCHEDULES = ("step", "cosine")


class RunRecipe:
    """A recipe of any kind; subclasses are frozen dataclasses with these fields.

    Attributes:
        AUGMENTATION: class of the entry `augmentation`.
        POSITIVE: names of further entries that must be above 0.
        NOT_NEGATIVE: names of further entries that must not be below 0.
        SHARES: names of entries that must be 0 to 1.
    """

    AUGMENTATION: ClassVar[type]
    POSITIVE: ClassVar[tuple[str, ...]] = ()
    NOT_NEGATIVE: ClassVar[tuple[str, ...]] = ()
    SHARES: ClassVar[tuple[str, ...]] = ()

    model: str
    epochs: int
    max_steps: int
    input_hw: tuple[int, int]
    batch_size: int
    learning_rate: float
    weights: str | None
    warmup_steps: int
    weight_decay: float
    ema_momentum: float
    accumulate: int
    mixed_precision: bool | str
    quantization_aware: bool

    def check_shared(self) -> None:
        """Raises ValueError for an entry, of those that all recipes have, out of range."""
        precision_policy(self.mixed_precision)
        check_fine_tuning(self.quantization_aware, self.weights)
        shared = ("epochs", "batch_size", "learning_rate", "synthetic_images", "accumulate")
        for name in (*shared, *self.POSITIVE):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")
        if not 0 <= self.ema_momentum < 1:
            raise ValueError(f"ema_momentum must be in [0, 1), got {self.ema_momentum}.")
        for name in self.SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)}.")
        for name in ("max_steps", "warmup_steps", "weight_decay", *self.NOT_NEGATIVE):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")

    def override(self, **values: Any) -> Self:
        """Returns a copy with those values that are not None."""
        given = {name: value for name, value in values.items() if value is not None}
        check_known(type(self), given)
        return dataclasses.replace(self, **given)  # type: ignore[type-var]

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: for unknown keys or values that do not fit.
        """
        check_known(cls, values)
        values = dict(values)
        if "augmentation" in values:
            values["augmentation"] = cls.AUGMENTATION(**values["augmentation"])
        for entry in dataclasses.fields(cls):  # type: ignore[arg-type]
            if entry.name in values and isinstance(entry.default, tuple):
                values[entry.name] = tuple(values[entry.name])  # JSON has lists
        return cls(**values)


def precision_policy(mixed_precision: bool | str) -> str:
    """Returns the name of Keras' policy for an entry `mixed_precision` of a recipe."""
    if mixed_precision is False:
        return "float32"
    if mixed_precision is True:
        return "mixed_float16"
    if mixed_precision not in ("float16", "bfloat16"):
        raise ValueError(
            f"mixed_precision must be float16 or bfloat16, got {mixed_precision!r}."
        )
    return f"mixed_{mixed_precision}"


def check_choice(name: str, value: Any, known) -> None:
    """Raises ValueError, with the near word, for an entry that is none of those known."""
    if value not in known:
        near = difflib.get_close_matches(str(value), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"Unknown {name} {value!r}.{hint} Known: {', '.join(known)}.")


def check_fine_tuning(quantization_aware: bool, weights: str | None) -> None:
    """Refuses quantization-aware training from scratch."""
    if quantization_aware and weights is None:
        raise ValueError(
            "Quantization-aware training goes on from trained weights: give a file or a "
            "word as weights, got none."
        )


def check_known(recipe_class, values) -> None:
    """Refuses names that are no entries of a kind of recipe."""
    known = [entry.name for entry in dataclasses.fields(recipe_class)]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"A {recipe_class.__name__} has no entry {name!r}.{hint}")
