"""The rows of the zoo's table and the builders of their families, one module per family.

The modules of this folder are found, not listed. Each states

- `PLACE`: its place among the others in the table; None for rows that no list shows;
- `ROWS`: its rows;
- `BUILDERS`: family of a row to "file.function" of `keras_pose/models`.
"""

from importlib import import_module
from itertools import chain
from pkgutil import iter_modules

_MODULES = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
_LISTED = sorted(
    (module for module in _MODULES if module.PLACE is not None),
    key=lambda module: module.PLACE,
)

ROWS = tuple(chain.from_iterable(module.ROWS for module in _LISTED))
HIDDEN_ROWS = tuple(
    chain.from_iterable(module.ROWS for module in _MODULES if module.PLACE is None)
)
BUILDERS: dict[str, str] = {
    family: place for module in _MODULES for family, place in module.BUILDERS.items()
}
