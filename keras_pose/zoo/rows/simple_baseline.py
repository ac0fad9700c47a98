"""Simple Baselines."""

from keras_pose.zoo.spec import ModelSpec

PAPER = "Xiao et al. 2018, arXiv:1804.06208"

ROWS = (
    ModelSpec(
        name="simple_baseline_resnet18",
        family="simple_baseline",
        options={"depth": 18},
        input_hw=(256, 192),
        params=15_376_721,
        macs=2_897_215_488,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet34",
        family="simple_baseline",
        options={"depth": 34},
        input_hw=(256, 192),
        params=25_484_881,
        macs=4_709_154_816,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet50",
        family="simple_baseline",
        options={"depth": 50},
        input_hw=(256, 192),
        params=33_999_697,
        macs=5_426_380_800,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet101",
        family="simple_baseline",
        options={"depth": 101},
        input_hw=(256, 192),
        params=52_991_825,
        macs=9_062_842_368,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet152",
        family="simple_baseline",
        options={"depth": 152},
        input_hw=(256, 192),
        params=68_635_473,
        macs=12_699_303_936,
        paper=PAPER,
    ),
)
