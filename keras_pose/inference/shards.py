"""Millions of pictures: estimated shard by shard on a Ray cluster, and gone on with.

A shard is some pictures and one file of rows: it is there whole or not at all, so the same
command goes on after whatever ended it. Every picture has a row, a bad one with its error:

    {"picture": "a/1.jpg", "height": 480, "width": 640, "people": [...], "error": null}

People are as in `Poses.to_dicts`, but for the keypoints, which are a list in the order of
the skeleton ({"name", "x", "y", "score"}), as tables need it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.files import atomic_path, check_writable, file_sha256, read_json, write_json
from keras_pose.inference.estimator import PoseEstimator
from keras_pose.pictures.images import PICTURE_SUFFIXES, as_image
from keras_pose.runtime.crowd_model import load_pose
from keras_pose.shipped import DETECTOR, POSE, shipped_file
from keras_pose.skeleton import Skeleton

FORMATS = ("json", "parquet")
_UNNAMED = re.compile(r"<_io\.BytesIO object at 0x[0-9a-f]+>")
SHARD_SIZE = 1000
MANIFEST_NAME = "shards.json"
# Columns of a Parquet file with pictures, or with their paths; the first that is there.
PICTURE_COLUMNS = ("image", "picture", "bytes", "path", "file_name", "image_path")


@dataclass(frozen=True)
class Shard:
    """Some pictures.

    Attributes:
        number: place among all shards.
        folder: folder that `names` are in, or of a Parquet file, relative paths.
        names: pictures, relative to the folder; () for those of a Parquet file.
        table: Parquet file; None for none.
        first: first row of the table.
        count: rows of it.
    """

    number: int
    folder: str
    names: tuple[str, ...] = ()
    table: str | None = None
    first: int = 0
    count: int = 0


@dataclass(frozen=True)
class EstimatorOptions:
    """What an estimator is made of, to be sent to other processes.

    Attributes:
        weights: file of the pose network; None for the shipped one.
        detector: file, "whole image", or None for the shipped one.
        model: zoo name, for weights that do not say it.
        skeleton: names of the keypoints, for such.
        flip_test: average with mirrored crops.
        box_threshold: score from which people are found; None for the usual one.
    """

    weights: str | None = None
    detector: str | None = None
    model: str | None = None
    skeleton: Skeleton | None = None
    flip_test: bool = False
    box_threshold: float | None = None

    def open(self, num_threads: int | None = None) -> PoseEstimator:
        path = self.weights or shipped_file(POSE)
        return PoseEstimator(
            load_pose(path, self.model, num_threads=num_threads, skeleton=self.skeleton),
            self.detector,
            flip_test=self.flip_test,
            num_threads=num_threads,
            box_threshold=self.box_threshold,
        )

    def facts(self) -> dict[str, Any]:
        """Returns what rows depend on: options, and the files' bytes."""
        facts: dict[str, Any] = {
            "flip_test": self.flip_test,
            "box_threshold": self.box_threshold,
            "model": self.model,
            "skeleton": self.skeleton and list(self.skeleton.names),
        }
        for name, kind in (("weights", POSE), ("detector", DETECTOR)):
            value = getattr(self, name) or shipped_file(kind)
            facts[name] = file_sha256(value)[:16] if Path(value).exists() else value
        return facts


def make_shards(source: Path, shard_size: int = SHARD_SIZE) -> list[Shard]:
    """Shares out the pictures of a folder and those below it, or the rows of Parquet files.

    Args:
        source: folder of pictures, a Parquet file, or a folder of such.
        shard_size: pictures a shard, at most.

    Raises:
        FileNotFoundError: where there are none.
        ValueError: for a file of another type.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist.")
    tables = sorted(source.rglob("*.parquet")) if source.is_dir() else [source]
    if tables:
        return _shards_of_tables(tables, shard_size)
    names = sorted(
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES
    )
    if not names:
        raise FileNotFoundError(f"There are no pictures in {source}, nor Parquet files.")
    return [
        Shard(number, str(source.absolute()), tuple(names[first : first + shard_size]))
        for number, first in enumerate(range(0, len(names), shard_size))
    ]


def _shards_of_tables(tables: Sequence[Path], shard_size: int) -> list[Shard]:
    parquet = _parquet()
    shards: list[Shard] = []
    for path in tables:
        if path.suffix != ".parquet":
            raise ValueError(
                f"--engine ray takes a folder of pictures or a .parquet file, got {path}."
            )
        num_rows = parquet.ParquetFile(path).metadata.num_rows
        for first in range(0, num_rows, shard_size):
            count = min(shard_size, num_rows - first)
            folder, table = str(path.parent.absolute()), str(path.absolute())
            shards.append(Shard(len(shards), folder, (), table, first, count))
    if not shards:
        raise FileNotFoundError(f"{tables[0]} has no rows.")
    return shards


def _parquet():
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "Parquet files need the package pyarrow, which comes with Ray Data: "
            "pip install 'keras-pose[ray]'"
        ) from error
    return pyarrow.parquet


def read_pictures(shard: Shard) -> Iterator[tuple[str, Any]]:
    """Yields the names of a shard's pictures, and what `as_image` reads of each.

    Raises:
        ValueError: for a table without a column of pictures.
    """
    folder = Path(shard.folder)
    if shard.table is None:
        yield from ((name, folder / name) for name in shard.names)
        return
    file = _parquet().ParquetFile(shard.table)
    columns = file.schema_arrow.names
    column = next((name for name in PICTURE_COLUMNS if name in columns), None)
    if column is None:
        raise ValueError(
            f"{shard.table} has the columns {', '.join(columns)}; one of them must be "
            f"{' or '.join(PICTURE_COLUMNS)}: encoded pictures, or their paths."
        )
    row = 0
    for batch in file.iter_batches(batch_size=64, columns=[column]):
        values = batch.column(0)
        for i in range(len(values)):
            if shard.first <= row < shard.first + shard.count:
                yield _named(values[i].as_py(), row, shard, folder)
            row += 1
        if row >= shard.first + shard.count:
            return


def _named(value, row, shard, folder) -> tuple[str, Any]:
    """Returns a name and a picture of a table's value: bytes, a path, or both in one."""
    name = f"{Path(shard.table).name}, row {row}"
    if isinstance(value, dict):  # as the Hugging Face hub stores pictures
        name = value.get("path") or name
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, str):
        return value, folder / value
    return name, value


def label_picture(estimator: PoseEstimator, name: str, picture) -> dict[str, Any]:
    """Returns the row of one picture; never fails for a picture's sake."""
    row: dict[str, Any] = {"picture": name, "height": None, "width": None, "people": []}
    try:
        image = as_image(picture)
        row["height"], row["width"] = image.shape[:2]
        people = estimator(image, image_id=name).to_dicts()
    except (ValueError, OSError, MemoryError) as error:
        # Pictures of tables have no file to be named by.
        return row | {"error": _UNNAMED.sub(name, str(error))}
    for person in people:
        person["keypoints"] = [
            {"name": point} | values for point, values in person["keypoints"].items()
        ]
    return row | {"people": people, "error": None}


def shard_path(output: Path, number: int, file_format: str) -> Path:
    suffix = "jsonl" if file_format == "json" else "parquet"
    return output / f"shard-{number:06d}.{suffix}"


def label_shard(estimator: PoseEstimator, shard: Shard, path: Path) -> dict[str, int]:
    """Writes the rows of a shard, whole or not at all; returns counts."""
    rows = [label_picture(estimator, *named) for named in read_pictures(shard)]
    with atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            _write_parquet(rows, temporary, estimator)
        else:
            lines = (json.dumps(row) + "\n" for row in rows)
            temporary.write_text("".join(lines), encoding="utf-8")
    return {
        "pictures": len(rows),
        "people": sum(len(row["people"]) for row in rows),
        "bad": sum(row["error"] is not None for row in rows),
    }


def _write_parquet(rows, path, estimator):
    import pyarrow as pa

    number = pa.float32()
    point = pa.struct([("name", pa.string()), *((n, number) for n in ("x", "y", "score"))])
    person = pa.struct(
        [
            ("score", number),
            ("box_xywh", pa.list_(number)),
            ("keypoints", pa.list_(point)),
        ]
    )
    schema = pa.schema(
        [
            ("picture", pa.string()),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("people", pa.list_(person)),
            ("error", pa.string()),
        ],
        # So that files of shards in which nobody is have the same keypoints, too.
        metadata={"keypoints": ",".join(estimator.skeleton.names)},
    )
    _parquet().write_table(pa.Table.from_pylist(rows, schema), path)


def open_output(
    output: Path, shards: Sequence[Shard], facts: dict[str, Any], file_format: str
) -> list[Shard]:
    """Makes the folder, or finds what is left to do in one of the same work.

    Args:
        output: folder of the shards.
        shards: all of them.
        facts: options that rows depend on.
        file_format: one of `FORMATS`.

    Returns:
        The shards that have no file yet.

    Raises:
        ValueError: if the folder holds other work; says what differs.
    """
    check_writable(output)
    digest = hashlib.sha256(json.dumps([asdict(s) for s in shards]).encode()).hexdigest()
    wanted = {"format": file_format, "pictures": digest[:16], **facts}
    path = output / MANIFEST_NAME
    if path.exists():
        there = read_json(path)
        differing = [name for name in wanted if there.get(name) != wanted[name]]
        if differing:
            raise ValueError(
                f"{output} holds shards of other work, with another "
                f"{' and '.join(differing)} (pictures also differ by --shard-size): choose "
                "another --output."
            )
    else:
        write_json(path, wanted | {"shards": len(shards)})
    return [s for s in shards if not shard_path(output, s.number, file_format).exists()]


class _Labeller:
    """One process of the cluster: opens the networks once, and labels shard by shard."""

    def __init__(self, options: EstimatorOptions, output: str, file_format: str):
        self._estimator = options.open(num_threads=1)
        self._path = functools.partial(shard_path, Path(output), file_format=file_format)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[int]]:
        counts: dict[str, list[int]] = {"pictures": [], "people": [], "bad": []}
        for text in batch["shard"]:
            values = json.loads(text)
            shard = Shard(**values | {"names": tuple(values["names"])})
            for name, count in label_shard(
                self._estimator, shard, self._path(shard.number)
            ).items():
                counts[name].append(count)
        return counts


def label_by_ray(
    shards: Sequence[Shard],
    options: EstimatorOptions,
    output: Path,
    file_format: str,
    on_done: Callable[[dict[str, int]], None],
) -> None:
    """Labels shards on the Ray cluster that there is, or on this machine's cores.

    Args:
        shards: those that are left to do.
        options: how to open the estimator, by paths that every node can read.
        output: folder that every node can write to.
        file_format: one of `FORMATS`.
        on_done: function that is called with the counts of each shard.

    Raises:
        ImportError: where Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            "--engine ray needs the package ray, which cannot be imported "
            f"({error}). Install it: pip install 'keras-pose[ray]'"
        ) from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)  # RAY_ADDRESS names a cluster
    ray.data.DataContext.get_current().enable_progress_bars = False
    most = min(len(shards), max(1, int(ray.cluster_resources().get("CPU", 1))))
    rows = [{"shard": json.dumps(asdict(shard))} for shard in shards]
    counts = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Labeller,
        fn_constructor_args=(options, str(output.absolute()), file_format),
        batch_size=1,
        num_cpus=1,
        concurrency=(1, most),
    )
    for row in counts.iter_rows():
        on_done(row)
