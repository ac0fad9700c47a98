"""Options that the export programs share."""

import argparse

import pytest
from says import Says

from keras_pose.exporting.commands.options import (
    add_range_options,
    range_rule,
    range_rules,
)
from keras_pose.exporting.quantization.measured_ranges import RULES, RangeRule


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_range_options(parser.add_argument)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--range", "minmax"], RangeRule()),
        (["--range", "mse"], RangeRule("mse")),
        (["--range", "percentile"], RangeRule("percentile", 99.99)),
        (["--range", "percentile", "--percentile", "99"], RangeRule("percentile", 99)),
    ],
)
def test_the_rule_that_is_asked_for_is_the_only_one(words, rule):
    args = parsed(*words)
    assert range_rule(args) == rule
    assert range_rules(args) == (rule,)


def test_whoever_asks_for_none_leaves_the_choice_to_a_search():
    assert range_rule(parsed()) is None
    assert range_rules(parsed()) == RULES


@pytest.mark.parametrize("words", [[], ["--range", "mse"]])
def test_a_percentile_without_its_method_is_refused(words):
    with Says(
        "--percentile 99.9 is of --range percentile",
        do="Add --range percentile, or leave --percentile out.",
    ).refuses():
        range_rule(parsed(*words, "--percentile", "99.9"))
