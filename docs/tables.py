"""Writes the tables of docs/results.md from the figures in docs/results.

    python docs/tables.py
    python docs/tables.py --old

A measuring command writes a file with --results docs/results/NAME.json; its table stands
between the marks <!-- results NAME --> and <!-- /results --> of the page. A line below
says where the figures are from, and whether the code that they describe has changed since.
--old lists such files, with the commits; it changes nothing.
"""

import argparse
import json
import re
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PAGE, FIGURES = FOLDER / "results.md", FOLDER / "results"
SPOT = re.compile(r"(<!-- results (\S+) -->\n).*?(<!-- /results -->)", re.DOTALL)
OLD = " **The code has changed since.**"


def table(figures) -> str:
    """Lays out the table of a file, and says where its figures are from.

    Args:
        figures: content of a file, see `keras_pose.metrics.result_files`.
    """
    titles, formats = figures["columns"].keys(), figures["columns"].values()
    lines = [titles, ["---"] * len(titles)]
    for row in figures["rows"]:
        pairs = zip(row, formats, strict=True)
        lines.append([text_of(cell, spec) for cell, spec in pairs])
    text = "\n".join("|" + "|".join(f" {cell}".rstrip() + " " for cell in line) + "|"
                     for line in lines)  # fmt: skip
    text = text.replace(" --- ", "---")
    facts = [figures["date"], f"commit `{figures['commit']}`", figures["machine"]]
    return f"{text}\n\n({', '.join(filter(None, facts))}.)\n"


def text_of(cell, spec: str) -> str:
    """Returns a cell's text: numbers by the column's format, words as they are."""
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else format(cell, spec)


def changes_since(figures) -> list[str]:
    """Returns the commits that changed the code of a file's figures since, a line each."""
    if not figures["code"]:
        return []
    log = ["git", "log", "--oneline", f"{figures['commit']}..HEAD", "--", *figures["code"]]
    done = subprocess.run(log, cwd=FOLDER.parent, capture_output=True, text=True)
    return done.stdout.splitlines()


def page(text: str, is_old=lambda figures: False) -> str:
    """Returns the page with all its tables as the files have them.

    Args:
        text: the page.
        is_old: function that says which tables get the mark.

    Raises:
        FileNotFoundError: for a table without a file.
    """

    def filled(spot):
        begin, name, end = spot.groups()
        figures = json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))
        mark = OLD if is_old(figures) else ""
        return begin + table(figures).replace(".)\n", f".{mark})\n") + end

    return SPOT.sub(filled, text)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--old", action="store_true", help="list old figures, write nothing"
    )
    if parser.parse_args().old:
        for path in sorted(FIGURES.glob("*.json")):
            commits = changes_since(json.loads(path.read_text(encoding="utf-8")))
            for commit in commits:
                print(f"{path.stem:24}{commit}")
        return
    text = page(PAGE.read_text(encoding="utf-8"), changes_since)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
