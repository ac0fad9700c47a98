"""The compilers for phones' NPUs, through `ai_edge_litert.aot`: the only door to them.

A vendor's plugin, which is part of ai-edge-litert, asks the vendor's SDK which operators it
takes, and compiles these. The SDK is another package, whose installer fetches it from the
vendor. Flags of each plugin come from the backends of ai-edge-litert. The tool is started
here and not by its `aot_compile`, which drops what the tool prints: the reasons why
operators are refused stand nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.exporting.errors import ExportError

PACKAGE = "ai-edge-litert"
TIMEOUT_SECONDS = 3600.0
ALL = "ALL"
_TOOL = Path("tools/apply_plugin_main")
_TAKEN = re.compile(
    r"Partitioned subgraph<\d+>, selected (\d+) ops, from a total of (\d+) ops\. "
    r"resulted in (\d+) partitions"
)
_REFUSED = re.compile(r"LiteRT Op #(\d+) '\w+' \(code=\d+\) is (.+?)\.?\s*$")
# Stands before a refusal: the part of the operator that the vendor's library refused.
_PART = re.compile(r"QNN op validation failed: '[^']*' \((?:type=)?(.+)\)\s*$")
_SDK = re.compile(r"with SDK version: (\S+)")
# Lines that say why nothing was compiled; the first kind that is found counts.
_REASONS = (
    re.compile(r"Could not load shared library [^\n]*?\.so: ([^\n]+)"),
    re.compile(r"\[ ERROR \]\s+<E> (?!unexpected GraphHtpSettings)([^\n]+)"),
    re.compile(r"^ERROR: \[[^\]]+\] ((?!ERROR: )\S[^\n]+)", re.MULTILINE),
)


@dataclass(frozen=True)
class Vendor:
    """A maker of phones' processors.

    Attributes:
        package: PyPI package whose installer fetches the SDK.
        module: Python module of that package.
    """

    package: str
    module: str


# Names are those of the modules in `ai_edge_litert.aot.vendors`.
VENDORS = {
    "qualcomm": Vendor("ai-edge-litert-sdk-qualcomm", "ai_edge_litert_sdk_qualcomm"),
    "mediatek": Vendor("ai-edge-litert-sdk-mediatek", "ai_edge_litert_sdk_mediatek"),
    "google_tensor": Vendor(
        "ai-edge-litert-sdk-google-tensor", "ai_edge_litert_sdk_google_tensor"
    ),
    "samsung": Vendor("ai-edge-litert-sdk-samsung-nightly", "ai_edge_litert_sdk_samsung"),
}


@dataclass(frozen=True)
class Target:
    """A processor to compile for.

    Attributes:
        vendor: key of `VENDORS`.
        soc_model: name by the vendor, such as "SM8750".
    """

    vendor: str
    soc_model: str

    @property
    def manufacturer(self) -> str:
        """Name of the vendor as Android knows it, such as "Qualcomm"."""
        return str(next(iter(_targets_of(self.vendor).SocManufacturer)))

    def __str__(self) -> str:
        return f"{self.vendor}:{self.soc_model}"


@dataclass(frozen=True)
class ToolReport:
    """What the tool printed of one file and target.

    Attributes:
        operators: number of operators in the file.
        taken: number of them that run on the NPU.
        partitions: stretches of the graph on it; each but one costs copies to and fro.
        reasons: index of a refused operator -> why, in the words of the vendor's plugin.
        sdk: version of the vendor's SDK; "" where the plugin does not say it.
    """

    operators: int
    taken: int
    partitions: int
    reasons: dict[int, str]
    sdk: str


# Runs a program with arguments and an environment; returns status and output.
Runner = Callable[[Sequence[str], Mapping[str, str]], tuple[int, str]]


def tool_version() -> str:
    """Returns the compiler's package and version, such as "ai-edge-litert 2.3.0"."""
    return f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"


def targets_of(word: str) -> list[Target]:
    """Returns the targets of "VENDOR:MODEL"; all of a vendor's for "VENDOR".

    Raises:
        ValueError: for a vendor or model that the compilers do not know.
    """
    vendor, _, model = word.partition(":")
    if vendor not in VENDORS:
        raise ValueError(
            f"A target is VENDOR or VENDOR:MODEL with a vendor of {', '.join(VENDORS)}; "
            f"got {word!r}."
        )
    known = [str(each) for each in _targets_of(vendor).SocModel if each != ALL]
    if model and model not in known:
        raise ValueError(
            f"{tool_version()} compiles for these of {vendor}: {', '.join(known)}; got "
            f"{model!r}."
        )
    return [Target(vendor, each) for each in ([model] if model else known)]


def sdk_libraries(vendor: str) -> Path:
    """Returns the folder of a vendor's libraries.

    Raises:
        ImportError: without the SDK; names the package to install.
    """
    row = VENDORS[vendor]
    try:
        # A package without SDK says so on stderr, and returns None or raises.
        folder = importlib.import_module(row.module).path_to_sdk_libs()
    except (ImportError, NotImplementedError) as error:
        raise ImportError(
            f"Compiling for {vendor} needs its SDK, which runs on Linux (x86-64) and is "
            f"not here ({error}). Install it: pip install {row.package}"
        ) from error
    if folder is None or not Path(folder).is_dir():
        raise ImportError(
            f"The package {row.package} is installed, but holds no SDK: its installer "
            "could not fetch it, which pip does not say. Install it again where the "
            "vendor's server can be reached: pip install --force-reinstall "
            f"--no-cache-dir {row.package}"
        )
    return Path(folder)


def run_program(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[int, str]:
    """Runs a program to its end; returns its status and what it printed."""
    done = subprocess.run(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def compile_file(
    source: Path,
    target: Target,
    path: Path,
    libraries: Path | None = None,
    run: Runner = run_program,
) -> ToolReport:
    """Compiles a `.tflite` file for one target.

    Args:
        source: file to compile.
        target: processor to compile for.
        path: path of the file to write.
        libraries: folder of the vendor's libraries; None for that of its package.
        run: program runner.

    Raises:
        ExportError: if the tool refuses the file; holds the tool's reason.
        ImportError: where ai-edge-litert has no compiler for this machine.
    """
    from ai_edge_litert.aot.core import aot_types

    backend = backend_of(target)
    plugin = _keeping_plugin(libraries, run)
    try:
        backend.call_component(
            aot_types.Model.create_from_path(source),
            aot_types.Model.create_from_path(path),
            plugin,
        )
    except FileNotFoundError as error:
        raise ImportError(
            f"{tool_version()} has no compiler for NPUs on this machine ({error}); it has "
            "one on Linux (x86-64)."
        ) from error
    status, printed = plugin.result
    taken = _TAKEN.search(printed)
    if status or taken is None or not path.is_file():
        raise ExportError(f"{source.name} cannot be compiled for {target}: {_why(printed)}")
    sdk = _SDK.search(printed)
    return ToolReport(
        operators=int(taken[2]),
        taken=int(taken[1]),
        partitions=int(taken[3]),
        reasons=_refusals(printed),
        sdk=sdk[1] if sdk else "",
    )


def backend_of(target: Target) -> Any:
    """Returns the backend of ai-edge-litert for a target."""
    from ai_edge_litert.aot.core import aot_types
    from ai_edge_litert.aot.vendors import import_vendor

    importlib.import_module(
        f"ai_edge_litert.aot.vendors.{target.vendor}.{target.vendor}_backend"
    )
    module = _targets_of(target.vendor)
    chosen = module.Target(module.SocModel(target.soc_model))
    config = aot_types.CompilationConfig(target=chosen).to_dict()
    return import_vendor.import_vendor(chosen.backend_id()).create(config)


def _targets_of(vendor: str) -> Any:
    return importlib.import_module(f"ai_edge_litert.aot.vendors.{vendor}.target")


def _keeping_plugin(libraries: Path | None, run: Runner):
    """Returns a component that runs the tool and keeps what it prints as `result`."""
    from ai_edge_litert.aot.core import common, components

    class KeepingPlugin(components.ApplyPluginT):
        result: tuple[int, str] = (0, "")

        def __call__(
            self, input_model, output_model, soc_manufacturer, soc_model,
            sdk_libs_path=None, **flags,
        ):  # fmt: skip
            values = {
                "cmd": "apply",
                "model": input_model.path,
                "o": output_model.path,
                "soc_manufacturer": soc_manufacturer,
                "soc_model": soc_model,
                "err": "--",
                **flags,
            }
            found = (libraries or sdk_libs_path, common.construct_ld_library_path())
            folders = os.pathsep.join(str(folder) for folder in found if folder)
            environment = {**os.environ, "LD_LIBRARY_PATH": folders}
            arguments = [f"--{name}={value}" for name, value in values.items()]
            tool = str(common.get_resource(_TOOL))
            self.result = run([tool, *arguments], environment)

    return KeepingPlugin()


def _refusals(printed: str) -> dict[int, str]:
    """Returns index -> reason of the operators that were refused."""
    reasons, part = {}, ""
    for line in printed.splitlines():
        refused, failed = _REFUSED.search(line), _PART.search(line)
        if failed:
            part = f" ({failed[1].replace('operation=', '')})"
        elif refused:
            reasons[int(refused[1])] = refused[2] + part
            part = ""
    return reasons


def _why(printed: str) -> str:
    """Returns the reason among what the tool printed."""
    for pattern in _REASONS:
        found = pattern.search(printed)
        if found:
            return found[1].strip()
    lines = [line for line in printed.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "the compiler does not say why"
