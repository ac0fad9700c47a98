"""Argument lines of docstrings begin with a noun, its shape or unit."""

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The tools of the apps, deeper within mobile_demo, are not ours.
FILES = ("keras_pose/**/*.py", "training/*.py", "export/*.py", "mobile_demo/*/*.py")

# "source: of the people", "std: likewise" and "rules: see there" leave out the thing.
NO_NOUN = re.compile(r"(of|what|likewise|see)\b", re.IGNORECASE)
MAX_SHARE = 0.02

SECTION = re.compile(r"^( *)(?:Args|Attributes):\n((?:\1    .*\n|\n)*)", re.MULTILINE)
ARGUMENT = re.compile(r"^(\*{0,2}\w[\w`, ]*(?: \([^)]*\))?): (.*)", re.MULTILINE)


def argument_lines(source: str):
    """Yields (argument, first line of its text) of all docstrings of a module."""
    for _, section in SECTION.findall(source):
        yield from ARGUMENT.findall(textwrap.dedent(section))


def test_argument_lines_are_found_in_all_sections():
    source = '''
class Mean:
    """Adds up.

    Attributes:
        total: likewise, and over a
            second line: of the same.
    """

    def add(self, value, *rest):
        """Adds values.

        Args:
            value: (N,) float32.
            rest (optional): of the same shape.

        Returns:
            sum: see `total`.
        """
'''

    found = list(argument_lines(source))

    assert found == [
        ("total", "likewise, and over a"),
        ("value", "(N,) float32."),
        ("rest (optional)", "of the same shape."),
    ]


def test_argument_lines_begin_with_a_noun():
    lines = [
        (path.relative_to(ROOT), argument, text)
        for pattern in FILES
        for path in sorted(ROOT.glob(pattern))
        for argument, text in argument_lines(path.read_text(encoding="utf-8"))
    ]
    without = [line for line in lines if NO_NOUN.match(line[2])]
    named = "\n".join(f"{path}: {argument}: {text}" for path, argument, text in without)

    assert len(lines) > 2000, "the docstrings are read in another way than they are written"
    assert len(without) < MAX_SHARE * len(lines), (
        f"{len(without)} of {len(lines)} argument lines open with of, what, likewise or "
        f"see:\n{named}"
    )
