"""The rows of the zoo's table, one module per family; the order is that of the table."""

from itertools import chain

from keras_pose.zoo.rows import cpm, hourglass, hrnet, openpose, simple_baseline, slim

ROWS = tuple(
    chain(
        hrnet.ROWS,
        simple_baseline.ROWS,
        hourglass.ROWS,
        cpm.ROWS,
        slim.ROWS,
        openpose.ROWS,
    )
)
