"""The rows of the zoo's table, one module per family; the order is that of the table."""

from itertools import chain

from keras_pose.zoo.rows import (
    cpm,
    deep_pose,
    efficientnet_lite,
    hourglass,
    hrnet,
    lite_hrnet,
    openpose,
    rtmdet,
    rtmpose,
    rtmw,
    simple_baseline,
    slim,
    testing,
    tiny_pose,
    trunk,
    vitpose,
)

ROWS = tuple(
    chain(
        hrnet.ROWS,
        simple_baseline.ROWS,
        hourglass.ROWS,
        cpm.ROWS,
        deep_pose.ROWS,
        vitpose.ROWS,
        lite_hrnet.ROWS,
        tiny_pose.ROWS,
        rtmpose.ROWS,
        rtmw.ROWS,
        slim.ROWS,
        efficientnet_lite.ROWS,
        openpose.ROWS,
        rtmdet.ROWS,
    )
)

HIDDEN_ROWS = (*testing.ROWS, *trunk.ROWS)
