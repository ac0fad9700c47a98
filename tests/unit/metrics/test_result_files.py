"""Figures as data, and the page that is made of them."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path

import pytest

from keras_pose.metrics import result_files
from keras_pose.metrics.result_files import command, write_results

ROOT = Path(__file__).resolve().parents[3]
COLUMNS = {"file": "", "ms": ".2f", "AP": ".3f"}


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_table_comes_with_what_it_was_measured_under(tmp_path, tables):
    rows = [["a.tflite", 1.2345, 0.4], ["b.tflite", 2, None]]
    path = write_results(tmp_path / "new" / "a.json", COLUMNS, rows, ["docs"], "one run")

    figures = json.loads(path.read_text())
    assert figures["rows"] == rows
    assert figures["protocol"] == "one run"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", figures["date"])
    assert re.fullmatch(r"\d+ \S+ cores, .+", figures["machine"])
    assert tables.table(figures).splitlines()[:4] == [
        "| file | ms | AP |",
        "|---|---|---|",
        "| a.tflite | 1.23 | 0.400 |",
        "| b.tflite | 2.00 | |",
    ]


@pytest.mark.parametrize(
    ("rows", "code", "message"),
    [
        pytest.param([["a", 1]], ["docs"], "must have 3 cells, got", id="short_row"),
        pytest.param([], ["no/such.py"], "got .'no/such.py'", id="code_that_is_not_there"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, rows, code, message):
    with pytest.raises(ValueError, match=message):
        write_results(tmp_path / "a.json", COLUMNS, rows, code)


def test_commands_name_no_folder_of_this_machine():
    words = [str(ROOT / "training" / "evaluate.py"), "--data-dir", str(ROOT / "coco"), "-n"]
    assert command(words) == "python training/evaluate.py --data-dir coco -n"


def test_commands_name_no_folder_of_this_machine_behind_a_name():
    words = ["a.py", "now=/home/me/old", "a=/home/me/x,b=/home/me/y", "x=1", "mine=data"]
    assert command(words) == "python a.py now=old a=x,b=y x=1 mine=data"


def test_the_page_has_the_tables_that_the_files_give(tables):
    # After a change: python docs/tables.py
    text = tables.PAGE.read_text(encoding="utf-8")
    assert tables.page(text) == text.replace(tables.OLD, "")
    named = re.findall(r"<!-- results (\S+) -->", text)
    assert sorted(named) == sorted(path.stem for path in tables.FIGURES.glob("*.json"))


def test_every_file_names_code_that_is_there(tables):
    for path in tables.FIGURES.glob("*.json"):
        figures = json.loads(path.read_text(encoding="utf-8"))
        assert all((ROOT / name).exists() for name in figures["code"]), path
        assert all(len(row) == len(figures["columns"]) for row in figures["rows"]), path


def test_figures_older_than_their_code_are_marked(tables, tmp_path, monkeypatch):
    def git(*words):
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *names, *words], cwd=tmp_path, check=True)

    folder = tmp_path / "docs"
    (folder / "results").mkdir(parents=True)
    (tmp_path / "code.py").write_text("1")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.setattr(result_files, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "FOLDER", folder)
    monkeypatch.setattr(tables, "FIGURES", folder / "results")
    write_results(folder / "results" / "a.json", COLUMNS, [["a", 1, 2]], ["code.py"])
    page = "<!-- results a -->\n<!-- /results -->\n"
    assert tables.OLD not in tables.page(page, tables.changes_since)

    (tmp_path / "code.py").write_text("2")
    git("commit", "-qam", "second")

    written = tables.page(page, tables.changes_since)
    assert tables.OLD in written
    assert tables.page(written) == written.replace(tables.OLD, "")
