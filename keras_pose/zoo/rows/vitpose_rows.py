"""ViTPose."""

from keras_pose.zoo.spec import ModelSpec

PLACE = 60
BUILDERS = {"vitpose": "vitpose.build_vitpose"}
PAPER = "Xu et al. 2022, arXiv:2204.12484"


def _row(name, params, macs, **options):
    return ModelSpec(
        name=name,
        family="vitpose",
        options=options,
        input_hw=(256, 192),
        params=params,
        macs=macs,
        paper=PAPER,
        input_multiple=16,
        is_convolutional=False,
        codec="udp",
    )


SMALL = {"channels": 384, "num_heads": 12}
BASE = {"channels": 768, "num_heads": 12}

ROWS = (
    _row("vitpose_s", 24_290_193, 5_593_890_816, **SMALL, head="classic"),
    _row("vitpose_s_simple", 21_722_129, 4_653_711_360, **SMALL, head="simple"),
    _row("vitpose_b", 89_993_745, 18_522_832_896, **BASE, head="classic"),
    _row("vitpose_b_simple", 85_911_569, 17_461_149_696, **BASE, head="simple"),
)
