"""Models that come with the package: default files, model cards, the index.

`export/ship.py` exports and measures; here is what it makes of the figures.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import keras_pose
from keras_pose.contracts.entries import CONTRACT_NAME
from keras_pose.files import check_writable, file_sha256, read_json, write_json
from keras_pose.metrics.drop import drop
from keras_pose.shipped import DETECTOR, INDEX_NAME, POSE
from keras_pose.weights.compact import SIGNIFICANT_BITS, write_compact

MAX_BYTES = 16e6
NETWORK, HALF = "network", "float16"
_COMPACT = f"Keras, kernels of {SIGNIFICANT_BITS} significant bits"
# Names of what is measured, as cards have them, where they are not those of formats.
_TYPES = {"float32": "float32 (Keras)", NETWORK: _COMPACT}
# Heading of what cards say of both models.
PAIRS = "Both models together"
# An int8 file is smaller and faster; it may cost this much AP against float16.
MAX_LOSS = 0.01
# Fields of a recipe that name paths on one machine.
_PRIVATE = ("data_dir", "max_steps")
_NOTHING = "-"
# Fields that name files, of which a card says the ends.
_FILES = ("weights", "teacher")
_COLUMNS = {
    POSE: ("AP", "AP50", "AP75", "APM", "APL", "AR"),
    DETECTOR: ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR100", "F1", "F1_score"),
}


@dataclass(frozen=True)
class Shipment:
    """One model that is shipped.

    Attributes:
        kind: "pose" or "detector".
        name: zoo name.
        input_hw: (height, width), pixels.
        files: quantization -> file.
        refused: quantization -> why the exporter wrote no such file.
        metrics: "float32" (the Keras model) and quantizations -> JSON that `evaluate.py`
            wrote.
        recipes: recipes of the training runs, the first run first; [] where they are not
            known.
        earlier: settings of the runs before those, as a card has them, see `card_runs`.
        network: `.keras` file to train on, see `weights.compact`; None where none is
            shipped.
        left_out: what is not shipped for want of space: quantizations and `NETWORK`.
        card: model card that it came with, for a model that stays as it is; None for one
            that gets a new card.
    """

    kind: str
    name: str
    input_hw: tuple[int, int]
    files: dict[str, Path]
    refused: dict[str, str]
    metrics: dict[str, dict[str, Any]]
    recipes: list[dict[str, Any]]
    network: Path | None = None
    earlier: tuple[dict[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    card: str | None = None

    @property
    def paths(self) -> list[Path]:
        """Files that are shipped."""
        return [*self.files.values(), *([self.network] if self.network else [])]

    def without(self, name: str) -> Shipment:
        """Returns it without a quantization, or without `NETWORK`."""
        files = {key: path for key, path in self.files.items() if key != name}
        network = None if name == NETWORK else self.network
        left_out = (*self.left_out, name)
        return replace(self, files=files, network=network, left_out=left_out)

    @property
    def default(self) -> str:
        """The quantization to take: int8, unless it loses more than `MAX_LOSS` AP.

        Raises:
            ValueError: where nothing was exported.
        """
        if not self.files:
            raise ValueError(f"No file of {self.name} was exported: {self.refused}.")
        if "int8" not in self.files or "float16" not in self.files:
            return next(iter(self.files))
        loss = drop(self.metrics["float16"]["AP"], self.metrics["int8"]["AP"])
        return "int8" if loss <= MAX_LOSS else "float16"


def kept_shipment(kind: str, folder, work) -> Shipment:
    """Copies a model that is shipped already, to be shipped again with another beside it.

    Args:
        kind: "pose" or "detector".
        folder: folder that it is shipped from.
        work: folder to copy files and contracts to.

    Returns:
        The `Shipment`, not measured yet.

    Raises:
        FileNotFoundError: if there are no models in the folder.
    """
    folder, work = Path(folder), Path(work)
    entry = read_json(folder / INDEX_NAME)[kind]
    contract = read_json(folder / CONTRACT_NAME)
    files = {
        name: Path(shutil.copyfile(folder / file, work / file))
        for name, file in entry["files"].items()
    }
    network = None
    if "network" in entry:
        network = write_compact(folder / entry["network"], work / entry["network"])
    path = work / CONTRACT_NAME
    before = read_json(path)["models"] if path.exists() else {}
    models = {path.name: contract["models"][path.name] for path in files.values()}
    write_json(path, contract | {"models": before | models})
    about = next(iter(models.values()))
    height, width = about["input"]["shape"][1:3]
    card = (folder / f"{kind}.md").read_text(encoding="utf-8")
    if network is not None:
        card = _with_row(card, _file_row(network, _COMPACT))
    return Shipment(
        kind, about["model"], (height, width), files, {}, {}, [], network, card=card
    )


def fit_to_size(shipments, both: str, data_note: str, contract_bytes: int):
    """Returns shipments and cards, without the files for which there is no room.

    What can be made of the rest goes first: float16 files, the largest before. Then go the
    networks to train on, the detector's first. Files that are taken by default stay, and
    all of a model that is shipped already: its card names them.

    Args:
        shipments: the two `Shipment`s.
        both: Markdown about both models together.
        data_note: as in `write_shipment`.
        contract_bytes: size of the contracts.

    Raises:
        ValueError: if what has to stay is more than `MAX_BYTES`.
    """
    new = [each for each in shipments if each.card is None]
    halves = [
        (path.stat().st_size, each.kind)
        for each in new
        for name, path in each.files.items()
        if name == HALF and each.default != HALF
    ]
    spare = [(kind, HALF) for _, kind in sorted(halves, reverse=True)]
    spare += [
        (each.kind, NETWORK)
        for each in sorted(new, key=lambda each: each.kind == POSE)
        if each.network
    ]
    while True:
        cards = {each.kind: model_card(each, both, data_note) for each in shipments}
        size = sum(path.stat().st_size for each in shipments for path in each.paths)
        size += contract_bytes + sum(len(card.encode()) for card in cards.values())
        if size <= MAX_BYTES:
            return shipments, cards
        if not spare:
            raise ValueError(
                f"What comes with the package may have {MAX_BYTES / 1e6:g} MB, got "
                f"{size / 1e6:.2f} MB."
            )
        kind, name = spare.pop(0)
        print(f"left out    {name} of the {kind}: over {MAX_BYTES / 1e6:g} MB")
        shipments = [
            each.without(name) if each.kind == kind else each for each in shipments
        ]


@dataclass(frozen=True)
class BoxThreshold:
    """The score that an app's boxes must exceed, and what is shown then.

    Attributes:
        score: the threshold.
        text: description of how it was chosen, for the cards.
    """

    score: float
    text: str


def write_shipment(
    shipments, pipelines, work, output, data_note: str, box_threshold: BoxThreshold
) -> list[Path]:
    """Puts files, contracts, model cards and index in place of those that were there.

    The index is written last: a copy without it counts as one without models.

    Args:
        shipments: the two `Shipment`s, whose files lie in `work` with their contract.
        pipelines: JSON of `evaluate.py --detector`, by (pose, detector) quantizations.
        work: folder of the files.
        output: folder to ship from.
        data_note: Markdown about the data, which ends both cards.
        box_threshold: threshold of an app with both models.

    Returns:
        What was written.

    Raises:
        ValueError: if the files are more than `MAX_BYTES` together.
    """
    work, output = Path(work), check_writable(output)
    contract = read_json(work / CONTRACT_NAME)
    contract_bytes = (work / CONTRACT_NAME).stat().st_size
    both = f"{_pipelines(pipelines)}\n\n{box_threshold.text}"
    shipments, cards = fit_to_size(shipments, both, data_note, contract_bytes)
    files = [path for each in shipments for path in each.paths]
    (output / INDEX_NAME).unlink(missing_ok=True)
    for old in chain(output.glob("*.tflite"), output.glob("*.keras")):
        old.unlink()
    written = [Path(shutil.copyfile(path, output / path.name)) for path in files]
    names = {path.name for path in files}
    models = {key: each for key, each in contract["models"].items() if key in names}
    written.append(write_json(output / CONTRACT_NAME, contract | {"models": models}))
    for kind, card in cards.items():
        path = output / f"{kind}.md"
        path.write_text(card, encoding="utf-8")
        written.append(path)
    index = {each.kind: _index_entry(each) for each in shipments}
    index[DETECTOR]["box_threshold"] = box_threshold.score
    return [*written, write_json(output / INDEX_NAME, index)]


def _index_entry(shipment: Shipment) -> dict[str, Any]:
    files = {name: path.name for name, path in shipment.files.items()}
    entry: dict[str, Any] = {"model": shipment.name, "default": shipment.default}
    entry["files"] = files
    if shipment.network:
        entry["network"] = shipment.network.name
    return entry


def model_card(shipment: Shipment, both: str, data_note: str) -> str:
    """Writes a model card in Markdown: files, training, figures, data."""
    if shipment.card is not None:
        card = _with_note(shipment.card, data_note.strip())
        return _with_section(card, PAIRS, both)
    height, width = shipment.input_hw
    what = {POSE: "Keypoints of one person", DETECTOR: "People in a picture"}
    parts = [
        f"# {what[shipment.kind]}: `{shipment.name}`, {height}x{width}\n\n"
        f"Trained and measured by keras_pose {keras_pose.__version__}; "
        f"`export/ship.py` wrote this card. Default: **{shipment.default}**.",
        f"## Files\n\n{_files(shipment)}",
        f"## Figures\n\n{_figures(shipment)}",
        f"## {PAIRS}\n\n{both}",
        f"## Training\n\n{_training(shipment.recipes, shipment.earlier)}",
        data_note.strip(),
    ]
    return "\n\n".join(parts) + "\n"


def _with_note(card: str, note: str) -> str:
    """Returns a card with another note about the data, which is of both models."""
    heading = note.partition("\n")[0]
    if not heading or f"\n{heading}\n" not in card:
        return card
    before, _, _ = card.partition(f"\n{heading}\n")
    return f"{before}\n{note}\n"


def _with_section(card: str, title: str, text: str) -> str:
    """Returns a card with another text under one of its headings.

    Raises:
        ValueError: if there is no such heading.
    """
    before, heading, rest = card.partition(f"## {title}\n\n")
    if not heading:
        raise ValueError(f"A model card must have a section {title!r}, got {card[:80]!r}.")
    _, next_heading, after = rest.partition("\n## ")
    return f"{before}{heading}{text}\n{next_heading}{after}"


def _files(shipment: Shipment) -> str:
    kinds = {path: quantization for quantization, path in shipment.files.items()}
    rows = [_file_row(path, kinds.get(path, _COMPACT)) for path in shipment.paths]
    lines = [markdown_table(("file", "type", "MB", "SHA-256 begins"), rows)]
    lines += [
        f"No {quantization} file: {reason}"
        for quantization, reason in shipment.refused.items()
    ]
    if shipment.network:
        lines.append(
            "The Keras file is there to train on: "
            f'`create_model("{shipment.name}", weights="shipped")`, or '
            f"`python training/train.py --model {shipment.name} --weights shipped`."
        )
    return "\n\n".join([*lines, *_absent(shipment)])


def _file_row(path: Path, kind: str) -> tuple[str, str, str, str]:
    size = f"{path.stat().st_size / 1e6:.2f}"
    return path.name, kind, size, file_sha256(path)[:16]


def _with_row(card: str, row: tuple[str, ...]) -> str:
    """Returns a card with another row for a file that its table has."""
    beginning = f"| {row[0]} | "
    lines = card.split("\n")
    places = [i for i, line in enumerate(lines) if line.startswith(beginning)]
    if not places:
        raise ValueError(f"A model card must have a row for {row[0]}, got {card[:80]!r}.")
    lines[places[0]] = f"| {' | '.join(row)} |"
    return "\n".join(lines)


def _absent(shipment: Shipment) -> list[str]:
    """Returns how to make what was left out."""
    lines = []
    if HALF in shipment.left_out:
        path = "runs/NAME/best.keras"
        if shipment.network:
            path = f"keras_pose/shipped/{shipment.network.name}"
        lines.append(
            f"No {HALF} file, for want of space: `python export/to_tflite.py --{HALF} "
            f"--weights {path} --output {shipment.name}_{HALF}.tflite` makes it."
        )
    if NETWORK in shipment.left_out:
        lines.append(
            "No Keras file to train on, for want of space: training/train.py makes "
            "another, by the settings below."
        )
    return lines


def _figures(shipment: Shipment) -> str:
    columns = _COLUMNS[shipment.kind]
    first = shipment.metrics["float32"]
    rows = [
        (
            _TYPES.get(name, name),
            *(f"{values[column]:.3f}" for column in columns),
            f"{first['AP'] - values['AP']:+.3f}",
        )
        for name, values in shipment.metrics.items()
    ]
    table = markdown_table(("type", *columns, "loss"), rows)
    return f"{_protocol(first['protocol'])}\n\n{table}"


def _protocol(protocol: dict[str, Any]) -> str:
    """Returns in words how a figure was measured; not official COCO AP."""
    subset = "first " if protocol["is_subset"] else ""
    words = [
        f"{protocol['dataset']} {protocol['split']} as below",
        f"{subset}{protocol['num_images']} images",
        f"{protocol['num_people']} people",
    ]
    if "boxes" in protocol:
        is_truth = protocol["boxes"] == "ground truth"
        words += [
            "ground-truth boxes"
            if is_truth
            else f"boxes of {protocol['boxes']} from score {protocol['boxes_threshold']:g}",
            "flip test" if protocol["flip_test"] else "no flip test",
            f"{protocol['nms']} OKS-NMS",
        ]
        kind = "Keypoint AP"
    else:
        settings = protocol["settings"]
        words += [
            f"scores over {settings['score_threshold']:g}",
            f"NMS at IoU {settings['iou_threshold']:g}",
        ]
        kind = "Box AP"
    return f"{kind}, **not official COCO AP** (see below): {', '.join(words)}."


def _pipelines(pipelines) -> str:
    parts = []
    rows = []
    for (pose, detector), values in pipelines.items():
        times = values["pipeline"]
        rows.append((
            pose,
            detector,
            f"{values['AP']:.3f}",
            f"{values['AP50']:.3f}",
            f"{times['box']['AP']:.3f}" if "box" in times else "-",
            *(f"{times[f'milliseconds, {n} people']['total']:.0f}" for n in (1, 5, 20)),
        ))  # fmt: skip
        parts = [_protocol(values["protocol"])]
    names = ["pose", "detector", "AP", "AP50", "box AP"]
    names += [f"ms, {people}" for people in ("1 person", "5 people", "20 people")]
    parts.append(markdown_table(names, rows))
    machines = dict.fromkeys(values.get("machine", "") for values in pipelines.values())
    where = f" ({'; '.join(filter(None, machines))})" if any(machines) else ""
    parts.append(
        f"Milliseconds for a whole image on the machine that measured{where}: good for "
        "comparing the rows."
    )
    return "\n\n".join(parts)


def card_runs(card: str) -> tuple[dict[str, str], ...]:
    """Reads the settings of the training runs out of a model card.

    Returns:
        For each run setting -> what stands in its cell; () where the card knows of none.
    """
    _, _, section = card.partition("## Training\n")
    lines = [line for line in section.split("\n## ")[0].splitlines() if line[:1] == "|"]
    cells = [line.strip("|").split("|") for line in lines[2:]]
    rows = [[cell.strip() for cell in each] for each in cells]
    count = len(rows[0]) - 1 if rows else 0
    return tuple({row[0]: row[i + 1] for row in rows} for i in range(count))


def _training(
    recipes: list[dict[str, Any]], earlier: tuple[dict[str, str], ...] = ()
) -> str:
    """Returns the settings of every run; each begins with the weights of the one before."""
    runs = [*earlier]
    for recipe in recipes:
        known = {name: x for name, x in recipe.items() if name not in _PRIVATE}
        runs.append({name: _setting(name, value) for name, value in known.items()})
    if not runs:
        return "The recipe of the training run is not known."
    names = dict.fromkeys(name for run in runs for name in run)
    cells = [(name, *(run.get(name, _NOTHING) for run in runs)) for name in names]
    rows = [row for row in cells if set(row[1:]) != {_NOTHING}]
    header = [f"run {number}" for number in range(1, len(runs) + 1)]
    return markdown_table(("setting", *(header if len(header) > 1 else ["value"])), rows)


def _setting(name: str, value) -> str:
    if value is None:
        return _NOTHING
    if name in _FILES:
        value = "/".join(Path(value).parts[-2:])
    if name == "dataset":  # of sets of one's own the name, not the folder
        value = ",".join(word.partition("=")[0] for word in value.split(","))
    return f"`{value}`"


def markdown_table(header, rows) -> str:
    """Lays rows of words out as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
