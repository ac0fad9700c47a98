"""Files whole or not at all, JSON and hashes; `runs` are the files of trainings."""

from keras_pose.files.atomic import (
    HOME_VARIABLE,
    atomic_folder,
    atomic_path,
    cache_dir,
    check_writable,
    file_sha256,
    num_bytes,
    read_json,
    write_json,
)

__all__ = [
    "HOME_VARIABLE",
    "atomic_folder",
    "atomic_path",
    "cache_dir",
    "check_writable",
    "file_sha256",
    "num_bytes",
    "read_json",
    "write_json",
]
