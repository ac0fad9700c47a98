"""Everything suspicious about a folder of labels, found before a night of training."""

from keras_pose.data.check.findings import Finding, Split, Spot
from keras_pose.data.check.folder import Report, check_folder, read_splits

__all__ = ["Finding", "Report", "Split", "Spot", "check_folder", "read_splits"]
