"""Instructions of this machine that decide how fast int8 is beside float32.

Without a dot product of bytes, int8 products are widened and added in several steps, and
an int8 network may take as long as its float32 one. So a program that prints times prints
`machine_line` beside them.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

# Linux's name -> the usual name. x86 first, then ARM.
_DOT_PRODUCTS = {
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "amx_int8": "AMX int8",
    "asimddp": "dot product",
    "i8mm": "int8 matrix product",
}
_VECTORS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "asimd": "NEON",
    "sve": "SVE",
}
NO_PRODUCT = "no dot product of bytes"
CPUINFO = Path("/proc/cpuinfo")


def saturates(cpuinfo: Path = CPUINFO) -> bool:
    """Returns True for x86 processors that add products of bytes in 16 bits."""
    return lacks_products(instructions(cpuinfo))


def lacks_products(found: str) -> bool:
    """Returns True if `instructions` found an x86 processor without products of bytes."""
    return {"AVX2", NO_PRODUCT} <= set(found.split(", "))


def instructions(cpuinfo: Path = CPUINFO) -> str:
    """Returns what this machine's cores have, in words for people.

    Such as "AVX2, no dot product of bytes"; "unknown instructions" where the system does
    not list them as Linux does.
    """
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return "unknown instructions"
    listed = [line.partition(":") for line in lines]
    flags = {
        flag
        for name, _, values in listed
        if name.strip() in ("flags", "Features")
        for flag in values.split()
    }
    if not flags:
        return "unknown instructions"
    vectors = [word for flag, word in _VECTORS.items() if flag in flags]
    products = [word for flag, word in _DOT_PRODUCTS.items() if flag in flags]
    return ", ".join([*vectors, *(products or [NO_PRODUCT])])


def machine() -> str:
    """Returns the number and kind of this machine's cores, and their instructions."""
    return f"{os.cpu_count()} {platform.machine()} cores, {instructions()}"


def machine_line(*machines: str) -> str:
    """Returns the line that programs print beside times.

    Args:
        machines: where each of the times was measured, from `machine`; "" where that is
            not known. None at all for this machine.
    """
    names = dict.fromkeys(each or "not known" for each in machines or (machine(),))
    return f"machine     {'; '.join(names)}"
