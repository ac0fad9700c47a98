"""Adds the scripts of a clone to the package; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

SCRIPTS = {
    "keras_pose.scripts.training": "training",
    "keras_pose.scripts.export": "export",
}

setup(
    packages=[*find_packages(include=["keras_pose*"]), *SCRIPTS],
    package_dir=SCRIPTS,
    package_data={
        "keras_pose": [
            "**/*.json",
            "shipped/*",
            "demo/pictures/*",
        ],
        "keras_pose.scripts.training": ["*.json"],
    },
)
