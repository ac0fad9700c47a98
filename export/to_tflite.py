"""Converts a trained model to TFLite: uint8 RGB pixels in, heatmaps or keypoints out.

    python export/to_tflite.py --int8
    python export/to_tflite.py --int8 --weights runs/NAME/best.keras --data-dir ~/coco
    python export/to_tflite.py --float16 --weights w.weights.h5 --model hrnet_w32
    python export/to_tflite.py --int8 --max-drop 0.5 --validation-dataset coco
    python export/to_tflite.py --format float32 int8 int16x8 --with-decode

Without --weights it takes the newest run in runs/. Files with integers are calibrated on
crops of the training set. Beside the file lies pose_model.json, which a phone needs to run
it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors
from keras_pose.exporting.commands import max_drop, tflite_options


@plain_errors()
def main(argv=None):
    max_drop.run_command(tflite_options.parse_args(argv, __doc__))


if __name__ == "__main__":
    main()
