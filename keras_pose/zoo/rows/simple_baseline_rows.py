"""Simple Baselines."""

from keras_pose.zoo.spec import ModelSpec

PLACE = 20
BUILDERS = {"simple_baseline": "simple_baseline.build_simple_baseline"}
PAPER = "Xiao et al. 2018, arXiv:1804.06208"
MOBILE_PAPER = f"{PAPER}; Sandler et al. 2018, arXiv:1801.04381"

ROWS = (
    ModelSpec(
        name="simple_baseline_resnet18",
        family="simple_baseline",
        options={"backbone": "resnet18"},
        input_hw=(256, 192),
        params=15_376_721,
        macs=2_897_215_488,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet34",
        family="simple_baseline",
        options={"backbone": "resnet34"},
        input_hw=(256, 192),
        params=25_484_881,
        macs=4_709_154_816,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet50",
        family="simple_baseline",
        options={"backbone": "resnet50"},
        input_hw=(256, 192),
        params=33_999_697,
        macs=5_426_380_800,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet101",
        family="simple_baseline",
        options={"backbone": "resnet101"},
        input_hw=(256, 192),
        params=52_991_825,
        macs=9_062_842_368,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet152",
        family="simple_baseline",
        options={"backbone": "resnet152"},
        input_hw=(256, 192),
        params=68_635_473,
        macs=12_699_303_936,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet50_caffe",
        family="simple_baseline",
        options={"backbone": "resnet50", "style": "caffe"},
        input_hw=(256, 192),
        params=33_999_697,
        macs=5_199_888_384,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet101_caffe",
        family="simple_baseline",
        options={"backbone": "resnet101", "style": "caffe"},
        input_hw=(256, 192),
        params=52_991_825,
        macs=8_836_349_952,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_resnet152_caffe",
        family="simple_baseline",
        options={"backbone": "resnet152", "style": "caffe"},
        input_hw=(256, 192),
        params=68_635_473,
        macs=12_472_811_520,
        paper=PAPER,
    ),
    ModelSpec(
        name="simple_baseline_mobilenet_v2",
        family="simple_baseline",
        options={"backbone": "mobilenet_v2"},
        input_hw=(256, 192),
        params=9_569_809,
        macs=1_565_042_688,
        paper=MOBILE_PAPER,
    ),
    ModelSpec(
        name="simple_baseline_mobilenet_v2_resize",
        family="simple_baseline",
        options={"backbone": "mobilenet_v2", "head": "resize", "head_channels": 64},
        input_hw=(256, 192),
        params=3_036_369,
        macs=579_840_000,
        paper=MOBILE_PAPER,
    ),
)
