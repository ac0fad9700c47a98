"""Skeletons on photographs, by the models that come with the package; no TensorFlow."""

from __future__ import annotations

import time
from pathlib import Path

from keras_pose.demo.steps import describe_seconds
from keras_pose.demo.stills import (
    CREDITS,
    CROWD_SIZE,
    Pan,
    compose_crowd,
    compose_row,
    read_photographs,
)
from keras_pose.files import check_writable
from keras_pose.inference import PoseEstimator
from keras_pose.inference.video import VideoSettings, annotate
from keras_pose.pictures.drawing import contact_sheet, draw_poses
from keras_pose.pictures.images import read_image, write_image

THRESHOLD = 0.2
# Frames of the film that the contact sheet shows, as shares of its length.
_SHOWN_OF_FILM = (0.2, 0.7)


def draw_photographs(folder, own_photos=()) -> Path:
    """Draws the people of the demo's pictures, and a contact sheet of all of them.

    Args:
        folder: folder to write the drawings to.
        own_photos: paths of photos that are drawn, too, first of all.

    Returns:
        The contact sheet's path.

    Raises:
        FileNotFoundError: when this copy of the package has no models, or no such photo.
        ImageError: for a photo that cannot be read.
    """
    folder = check_writable(folder)
    images = {f"own_{Path(path).stem}": read_image(path) for path in own_photos}
    photographs = read_photographs()
    images |= photographs | {"many_people": compose_crowd(photographs)}
    captions = CREDITS | {"many_people": f"{CROWD_SIZE} people in one picture"}
    estimator = PoseEstimator()
    drawings = {
        captions.get(name, name): _draw(image, name, estimator, folder)
        for name, image in images.items()
    }
    drawings |= _draw_film(compose_row(photographs), estimator, folder)
    sheet = contact_sheet(list(drawings.values()), 3, list(drawings))
    return write_image(folder / "photographs.png", sheet)


def _draw(image, name, estimator, folder):
    started = time.perf_counter()
    poses = estimator(image)
    milliseconds = 1000 * (time.perf_counter() - started)
    drawing = draw_poses(image, poses, threshold=THRESHOLD)
    path = write_image(folder / f"{name}.png", drawing)
    people = "1 person" if len(poses) == 1 else f"{len(poses)} people"
    print(f"{name:<16} {people}, {milliseconds:.0f} ms: {path}", flush=True)
    return drawing


def _draw_film(image, estimator, folder):
    """Follows the people of a film, and returns a few of its frames with captions."""
    film, frames = Pan(image), {}
    shown = {round(share * (film.num_frames - 1)) for share in _SHOWN_OF_FILM}

    def keep(frame, poses):
        if frame.index in shown:
            caption = f"film, {frame.seconds:.1f} s: numbers are identities"
            frames[caption] = draw_poses(frame.image, poses, threshold=THRESHOLD)

    path = folder / "film.mp4"
    settings = VideoSettings(threshold=THRESHOLD, shows_progress=True)
    summary = annotate(film, estimator, path, settings=settings, on_frame=keep)
    print(
        f"{'film':<16} {summary.num_frames} frames in "
        f"{describe_seconds(summary.wall_seconds)}, {summary.num_tracks} tracks: {path}"
    )
    return frames
