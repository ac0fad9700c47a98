"""Figures of a file against the float32 file of the same network."""

from __future__ import annotations

from dataclasses import dataclass, field

from keras_pose.exporting.inspection.audit import Audit
from keras_pose.exporting.inspection.profiling import OperatorTime
from keras_pose.exporting.ledger.cases import Case
from keras_pose.exporting.ledger.ledger_settings import MIXED, REFERENCE
from keras_pose.exporting.ledger.rows import Ledger, LedgerRow
from keras_pose.metrics.drop import POINTS

# The format that the others of a network are set against.
REFERENCE_FORMAT = "float32"
# Formats whose files multiply bytes.
OF_INT8_PRODUCTS = ("int8", "int8_per_tensor", "dynamic")


@dataclass(frozen=True)
class Accuracy:
    """Figures of one evaluated file.

    Attributes:
        metric: name, such as "AP".
        value: figure of the file.
        drop: points lost against the float32 file; negative for a gain.
        protocol: data set, split and images in words.
        shift: distances of keypoints from the float32 file's, from
            `ledger.jobs.keypoint_shift`; {} for detectors.
    """

    metric: str
    value: float
    drop: float
    protocol: str
    shift: dict[str, float]


@dataclass(frozen=True)
class FamilyRow:
    """A file against the float32 file of the same network.

    Attributes:
        case: the network.
        file_format: key of `formats.table.FORMATS`.
        failure: reason why there are no figures; None where there are.
        num_float_ops: operators in float of an integer file, 0 for none.
        rule: range rule in words; "" for ranges of noise.
        num_bytes: size of the float32 file and of this one.
        accuracy: None where nothing was measured.
        float_value: figure of the float32 file.
        milliseconds: number of threads -> times of the float32 file and of this one.
        peak_gain: speed of integer products on this machine in units of that of float ones,
            at the first number of threads: no file can gain more by products. None for
            formats without such products.
        peak_share: share of the peak of its type that this file's products reach.
        audit: operators and delegates of this file.
        profile: operators by time, the most expensive first.
        profile_failure: reason why there is no profile; None where there is one.
        instructions: instruction sets of the machine that timed; "" where not known.
    """

    case: Case
    file_format: str = "int8"
    failure: str | None = None
    num_float_ops: int = 0
    rule: str = ""
    num_bytes: tuple[int, int] = (0, 0)
    accuracy: Accuracy | None = None
    float_value: float | None = None
    milliseconds: dict[int, tuple[float, float]] = field(default_factory=dict)
    peak_gain: float | None = None
    peak_share: float | None = None
    audit: Audit | None = None
    profile: list[OperatorTime] = field(default_factory=list)
    profile_failure: str | None = None
    instructions: str = ""

    @property
    def gains(self) -> dict[int, float]:
        """Number of threads -> how many times as fast as float32."""
        return {n: slow / fast for n, (slow, fast) in self.milliseconds.items()}


def family_rows(case: Case, ledger: Ledger) -> list[FamilyRow]:
    """Returns a row for each file of a network but float32's, and one for what failed."""
    named = {row.name: row for row in ledger.rows}
    reference = named[REFERENCE_FORMAT]
    if reference.failure is not None:
        return [FamilyRow(case, failure=f"{REFERENCE_FORMAT}: {reference.failure}")]
    others = [row for name, row in named.items() if name not in (REFERENCE, reference.name)]
    rows = [_row(case, reference, row, ledger) for row in others if row.failure is None]
    # That of the mixed file speaks of int8 anyway.
    reasons = [
        row.failure if row.name == MIXED else f"{row.name}: {row.failure}"
        for row in others
        if row.failure is not None
    ]
    return rows + ([FamilyRow(case, failure=" ".join(reasons))] if reasons else [])


def _row(case: Case, reference: LedgerRow, row: LedgerRow, ledger: Ledger) -> FamilyRow:
    first, peaks = next(iter(row.times)), ledger.peaks
    file_format = "int8" if row.name == MIXED else row.name
    gain = peaks[f"int8 x {first} threads"] / peaks[f"float32 x {first} threads"]
    return FamilyRow(
        case,
        file_format,
        num_float_ops=row.num_float_ops,
        rule=row.rule,
        num_bytes=(reference.num_bytes, row.num_bytes),
        accuracy=_accuracy(reference, row),
        float_value=reference.measurement["value"] if reference.measurement else None,
        milliseconds={
            count: (reference.times[count]["milliseconds"], own["milliseconds"])
            for count, own in row.times.items()
            if count is not None
        },
        peak_gain=gain if file_format in OF_INT8_PRODUCTS else None,
        peak_share=row.times[first]["peak_share"],
        audit=row.audit,
        profile=row.profile,
        profile_failure=row.profile_failure,
        instructions=ledger.instructions,
    )


def _accuracy(reference: LedgerRow, row: LedgerRow) -> Accuracy | None:
    lost, measurement = row.lost(reference), row.measurement
    if lost is None or measurement is None:
        return None
    return Accuracy(
        metric=measurement["metric"],
        value=measurement["value"],
        drop=POINTS * lost,
        protocol=measurement["protocol"],
        shift=row.shift,
    )
