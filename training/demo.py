"""Shows what keras_pose does, within minutes; see `keras_pose/demo/program.py`.

python training/demo.py --output demo
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.demo.program import main

if __name__ == "__main__":
    main()
