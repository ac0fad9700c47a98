import csv
import dataclasses
from pathlib import Path

import pytest

from keras_pose.exporting.inspection.audit import Audit, DelegateAudit
from keras_pose.exporting.inspection.profiling import OperatorTime
from keras_pose.exporting.ledger.cases import Case
from keras_pose.exporting.ledger.family_rows import Accuracy, FamilyRow
from keras_pose.exporting.ledger.family_table import (
    RESULT_COLUMNS,
    as_markdown,
    explain,
    kind_shares,
    moving_shares,
    outside_shares,
    results_of,
    write_families,
)

# 10 milliseconds in all.
PROFILE = [
    OperatorTime("CONV_2D", "1x64x48x32 int8", 4, 5.0, 10**8),
    OperatorTime("GELU", "1x192x384 int8", 3, 2.0, 0),
    OperatorTime("GELU", "1x192x1536 int8", 1, 1.0, 0),
    OperatorTime("PAD+CONV_2D", "1x32x24x32 int8", 2, 1.0, 10**7),
    OperatorTime("ADD", "1x64x48x32 int8", 6, 1.0, 0),
]
XNNPACK = DelegateAudit("XNNPACK", 16, 12, 3, 8, {"GELU: on int8": 2, "ADD: on int8": 2})
AUDIT = Audit({"CONV_2D": 6, "GELU": 4, "ADD": 6}, 10**8, "int8", (XNNPACK,))
ACCURACY = Accuracy("AP", 0.49, 1.0, "coco val | GT boxes", {"mean": 0.4, "p95": 1.5})
ROW = FamilyRow(
    Case("vitpose_s_simple", (256, 192), Path("runs/a/best.keras")),
    num_bytes=(8_000_000, 2_000_000),
    accuracy=ACCURACY,
    float_value=0.5,
    milliseconds={1: (40.0, 10.0), 2: (24.0, 8.0)},
    peak_gain=6.0,
    peak_share=0.25,
    audit=AUDIT,
    profile=PROFILE,
)
RANDOM = FamilyRow(Case("cpm", (128, 96)), milliseconds={1: (9.0, 3.0)}, profile=PROFILE)
FAILED = FamilyRow(Case("rtmpose_t", (256, 192)), failure="it needs tf.Erfinv.")


def test_time_is_shared_out_by_kind_whatever_is_fused():
    assert kind_shares(ROW) == pytest.approx({"CONV_2D": 0.6, "GELU": 0.3, "ADD": 0.1})


def test_time_outside_xnnpack_goes_by_how_many_it_leaves():
    # Two of four GELU, whatever their size; two of six ADD.
    assert outside_shares(ROW) == pytest.approx({"GELU": 0.15, "ADD": 0.1 / 3})
    assert outside_shares(RANDOM) == {}


def test_what_multiplies_nothing_only_moves():
    assert moving_shares(ROW) == pytest.approx({"GELU": 0.3, "ADD": 0.1})


def test_a_line_says_where_the_time_goes():
    assert explain(ROW) == (
        "most in CONV_2D 60%, GELU 30%, ADD 10%; 18% outside XNNPACK (GELU 15%, ADD 3%); "
        "40% in operators without products (GELU 30%, ADD 10%); as a whole 25% of the "
        "integer peak"
    )


def test_a_profile_that_failed_is_told_of():
    reason = "GATHER cannot be timed by itself."
    row = FamilyRow(Case("cpm", (128, 96)), profile_failure=reason)
    assert explain(row) == f"no profile: {reason}"
    assert f"- **cpm**: no profile: {reason}" in as_markdown([row])


def test_the_table_tells_accuracy_times_and_failures():
    text = as_markdown([ROW, RANDOM, FAILED])
    assert (
        "| vitpose | vitpose_s_simple 256x192 | int8 | AP | 0.5000 | 0.4900 | +1.00 | "
        "0.40 | 1.50 |"
    ) in text
    assert "Measured on coco val | GT boxes." in text
    assert (
        "| 8.00 | 2.00 | 40.00 | 10.00 | 4.00 | 24.00 | 8.00 | 3.00 | 6.0 | 4 of 16 | 18% |"
    ) in text
    assert "| cpm | cpm 128x96 | int8 |" in text
    assert "- **rtmpose_t**: it needs tf.Erfinv." in text
    # Networks that were only timed are not in the table of accuracies.
    assert text.count("cpm 128x96") == 1


def test_without_accuracy_there_is_no_table_of_it():
    assert "drop" not in as_markdown([RANDOM])


def test_it_is_written_as_markdown_and_csv(tmp_path):
    rows = [ROW, RANDOM, FAILED]
    markdown, table = write_families(tmp_path, rows)
    assert markdown.read_text() == as_markdown(rows)
    with table.open() as file:
        first, second, third = csv.DictReader(file)
    assert float(first["gain_2_threads"]) == 3.0
    assert float(first["drop_points"]) == 1.0
    assert (second["weights"], second["value"]) == ("random", "")
    assert third["failure"] == "it needs tf.Erfinv."


def test_results_have_float32_once_and_a_row_for_each_file():
    gpu = DelegateAudit("GPU", 16, 14, 2, 9, {})
    int8 = dataclasses.replace(
        ROW, audit=dataclasses.replace(AUDIT, delegates=(XNNPACK, gpu)), num_float_ops=3
    )
    float16 = dataclasses.replace(ROW, file_format="float16", accuracy=None)

    name, blank = "vitpose_s_simple 256x192", [None] * 3
    assert results_of([int8, float16, FAILED]) == [
        [name, "float32", 0.5, None, None, 8.0, 40.0, *blank],
        [name, "int8, 3 in float", 0.49, 1.0, 0.4, 2.0, 10.0, 4.0, 3, "14 of 16"],
        [name, "float16", *blank, 2.0, 10.0, 4.0, None, "-"],
        ["rtmpose_t", "it needs tf.Erfinv.", *[None] * 8],
    ]
    assert {len(row) for row in results_of([int8, FAILED])} == {len(RESULT_COLUMNS)}
