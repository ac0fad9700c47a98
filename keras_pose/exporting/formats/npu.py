"""Files compiled ahead of time for the NPUs of phones, and the AI pack that ships them.

An exported `.tflite` file is compiled for each processor. What the vendor's compiler takes
becomes one operator that holds its machine code; all else stays as it was. No NPU is here,
so a compiled file cannot be run before it gets its name. What is checked instead: it is
a `.tflite` file with the same inputs and outputs, its machine code lies within it, and the
contract inside is bound to its bytes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatbuffers import flexbuffers

from keras_pose.contracts.entries import (
    VERSION_FIELDS,
    contracts_beside,
    read_entry,
    write_contract,
)
from keras_pose.contracts.operator_audit import FIELD as OPERATOR_AUDIT
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats.npu_tool import (
    Runner,
    Target,
    ToolReport,
    backend_of,
    compile_file,
    run_program,
    sdk_libraries,
    tool_version,
)
from keras_pose.files import atomic_folder, atomic_path, file_sha256, num_bytes, write_json
from keras_pose.modelfiles.embedded import BINDING, embed, rebind
from keras_pose.modelfiles.tflite_model import TFLiteModel
from keras_pose.runtime.litert_backend import NPU_OPERATOR

REPORT_NAME = "npu_report.json"
_UNSAID = "the compiler does not say why"


@dataclass(frozen=True)
class NpuFile:
    """One target's file, or why there is none.

    Attributes:
        target: processor that it is for.
        path: the file; its contract lies beside it. None where it was refused.
        report: what the compiler took; None where it was refused.
        left: "KIND: reason" -> how many operators stay on the CPU for it.
        error: reason of the refusal; "" for a file.
    """

    target: Target
    path: Path | None = None
    report: ToolReport | None = None
    left: tuple[tuple[str, int], ...] = ()
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        if self.path is None or self.report is None:
            return {"target": str(self.target), "error": self.error}
        return {
            "target": str(self.target),
            "file": self.path.name,
            "bytes": num_bytes(self.path),
            "sha256": file_sha256(self.path),
            "sdk": self.report.sdk,
            "operators": self.report.operators,
            "operators_taken": self.report.taken,
            "partitions": self.report.partitions,
            "left": dict(self.left),
        }


@dataclass(frozen=True)
class _Entry:
    """A contract as it is written: fields that this version does not know are kept."""

    values: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.values


def export_npu(
    source,
    targets: Sequence[Target],
    folder,
    libraries=None,
    ai_pack: str | None = None,
    run: Runner = run_program,
) -> list[NpuFile]:
    """Compiles a `.tflite` file for some targets, each with its contract.

    Args:
        source: exported file, with its contract.
        targets: processors to compile for.
        folder: where files and `npu_report.json` go.
        libraries: folder of the vendor's libraries; None for its package's.
        ai_pack: name of the AI pack, a folder in `folder`; None for none.
        run: program runner.

    Raises:
        ImportError: without a vendor's SDK; nothing is compiled then.
        FileNotFoundError: for no such file, or one without a contract.
        ValueError: for a file that is no `.tflite` file, or a compiled one.
        ExportError: if no target takes the file, or a compiled file is damaged.
    """
    source, folder = Path(source), Path(folder)
    entry = _contract_of(source)
    if libraries is None:
        for vendor in dict.fromkeys(target.vendor for target in targets):
            sdk_libraries(vendor)
    folder.mkdir(parents=True, exist_ok=True)
    contracts_beside(folder / source.name)
    libraries = None if libraries is None else Path(libraries)
    made = [_made(source, entry, each, folder, libraries, run) for each in targets]
    written = [each for each in made if each.path is not None]
    values = {
        "source": source.name,
        "source_sha256": file_sha256(source),
        "compiler": tool_version(),
        "targets": [each.to_dict() for each in made],
    }
    write_json(folder / REPORT_NAME, values)
    if not written:
        reasons = "; ".join(dict.fromkeys(each.error for each in made))
        raise ExportError(f"No target takes {source.name}: {reasons}")
    if ai_pack is not None:
        _write_ai_pack(folder / ai_pack, ai_pack, source, entry, written)
    return made


def _contract_of(source: Path) -> dict[str, Any]:
    """Returns the contract of a file that can be compiled."""
    if source.suffix != ".tflite":
        raise ValueError(f"NPUs' compilers take .tflite files, got {source}.")
    if not source.is_file():
        raise FileNotFoundError(f"Model file {source} does not exist.")
    values, _ = read_entry(source)
    if "compiled_for" in values:
        raise ValueError(f"{source} is compiled already, for {values['compiled_for']}.")
    return {k: v for k, v in values.items() if k not in ("file", BINDING, *VERSION_FIELDS)}


def _made(source, entry, target: Target, folder, libraries, run) -> NpuFile:
    """Compiles for one target; a refusal becomes part of the report."""
    path = folder / f"{source.stem}_{target.vendor}_{target.soc_model}.tflite"
    # What accelerators take of the source, they do not of the compiler's operators.
    kept = {name: value for name, value in entry.items() if name != OPERATOR_AUDIT}
    contract = _Entry(
        {
            **kept,
            "compiled_for": {
                "manufacturer": target.manufacturer,
                "soc_model": target.soc_model,
                "source_sha256": file_sha256(source),
            },
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / source.name
        shutil.copyfile(source, prepared)
        # The compiler takes metadata along; afterwards nothing in the file may move.
        embed(prepared, {**VERSION_FIELDS, **contract.to_dict()})
        try:
            with atomic_path(path) as temporary:
                report = compile_file(prepared, target, temporary, libraries, run)
                rebind(temporary)
                _check(prepared, temporary)
                left = _left(prepared, temporary, report)
        except ExportError as error:
            return NpuFile(target, error=str(error))
    write_contract(path, contract)
    return NpuFile(target, path, report, left)


def _check(source: Path, compiled: Path) -> None:
    """Raises ExportError unless a compiled file has its source's tensors and its code."""
    content = compiled.read_bytes()
    before, after = TFLiteModel.read(source.read_bytes()), TFLiteModel.read(content)
    if _tensors(before) != _tensors(after):
        raise ExportError(
            f"The compiled {source.name} has other inputs and outputs: {_tensors(after)} "
            f"in place of {_tensors(before)}."
        )
    codes = [
        flexbuffers.GetRoot(bytes(operator.customOptions)).AsMap
        for operator in after.graph.operators
        if after.name_of_kind(operator) == f"custom:{NPU_OPERATOR}"
    ]
    if not codes:
        raise ExportError("the compiler takes none of its operators.")
    ends = [code["bytecode_offset"].AsInt + code["bytecode_size"].AsInt for code in codes]
    if max(ends) > len(content):
        raise ExportError(
            f"The compiled {source.name} is cut off: its machine code ends at byte "
            f"{max(ends)} of {len(content)}."
        )


def _tensors(model: TFLiteModel) -> list[tuple]:
    """Returns name, shape, type and scale of a file's inputs and outputs."""
    (signature,) = model.tables.signatureDefs
    found = []
    for named in (*signature.inputs, *signature.outputs):
        tensor = model.graph.tensors[named.tensorIndex]
        scales = tensor.quantization and tensor.quantization.scale
        scale = None if scales is None else [float(each) for each in scales]
        found.append((named.name.decode(), tuple(tensor.shape), tensor.type, scale))
    return sorted(found)


def _left(source: Path, compiled: Path, report: ToolReport) -> tuple[tuple[str, int], ...]:
    """Returns "KIND: reason" and number of the operators that stay on the CPU."""
    before = TFLiteModel.read(source.read_bytes())
    reasons = {
        before.name_of_kind(before.graph.operators[index]): reason
        for index, reason in report.reasons.items()
    }
    after = TFLiteModel.read(compiled.read_bytes())
    kinds = Counter(after.name_of_kind(operator) for operator in after.graph.operators)
    del kinds[f"custom:{NPU_OPERATOR}"]
    return tuple(
        (f"{kind}: {reasons.get(kind, _UNSAID)}", count)
        for kind, count in kinds.most_common()
    )


def _write_ai_pack(path: Path, name: str, source: Path, entry, files) -> None:
    """Writes the pack that Google Play gives each phone its file from.

    Every group of devices has the file under one name, with its contract beside it; the
    group `other`, for all other phones, has the file that was compiled.
    """
    from ai_edge_litert.aot.ai_pack import export_lib
    from ai_edge_litert.aot.core import aot_types
    from ai_edge_litert.aot.vendors import fallback_backend

    fallback = fallback_backend.FallbackBackend.create({"backend_id": "fallback"})
    paths = [(fallback, source), *((backend_of(each.target), each.path) for each in files)]
    models = [(backend, aot_types.Model.create_from_path(file)) for backend, file in paths]
    contracts = {file_sha256(source): _Entry(entry)}
    for each in files:
        values, _ = read_entry(each.path)
        del values["file"]
        contracts[file_sha256(each.path)] = _Entry(values)
    with atomic_folder(path) as temporary:
        result = aot_types.CompilationResult(models_with_backend=models)
        export_lib.export(result, temporary, name, source.stem)
        for file in sorted(temporary.rglob("*.tflite")):
            write_contract(file, contracts[file_sha256(file)])


def describe_npu(files: Sequence[NpuFile]) -> str:
    """Returns what each target took and refused, a few lines each."""
    lines = []
    for each in files:
        if each.report is None:
            lines.append(f"{each.target}: nothing written. {each.error}")
            continue
        taken, count = each.report.taken, each.report.operators
        parts = each.report.partitions
        where = f" in {parts} partitions" if parts > 1 else ""
        sdk = f", SDK {each.report.sdk}" if each.report.sdk else ""
        lines.append(
            f"{each.target}: takes {taken} of {count} operators{where}{sdk}; {each.path}"
        )
        lines += [f"    left to the CPU: {n} {reason}" for reason, n in each.left]
    return "\n".join(lines)
