"""The row of Simple Baselines on a trunk from elsewhere, such as a Backbone of KerasHub.

No list shows it: what it computes depends on the trunk (`PoseTask.from_backbone`).
"""

from keras_pose.zoo.rows.simple_baseline_rows import PAPER
from keras_pose.zoo.spec import ModelSpec

PLACE = None  # no list shows it
BUILDERS: dict[str, str] = {}
TRUNK_MODEL = "simple_baseline_trunk"

ROWS = (
    ModelSpec(
        name=TRUNK_MODEL,
        family="simple_baseline",
        options={"backbone": None},
        input_hw=(256, 192),
        params=0,
        macs=0,
        paper=PAPER,
    ),
)
