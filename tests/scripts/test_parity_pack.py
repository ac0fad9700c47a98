"""The program that writes parity packs and replays them."""

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "export" / "parity_pack.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("parity_pack_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_pack_is_written_and_replayed(script, tmp_path, capsys):
    assert script.main(["--output", str(tmp_path)]) == 0
    written = capsys.readouterr().out
    assert "79 cases" in written
    assert "0 fields differ" in written

    index = json.loads((tmp_path / "index.json").read_text())
    first = index["cases"][0]
    first["expected"]["center_xy"]["values"][0] += 1
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert script.main(["--check", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert f"DIFFERS {first['name']} center_xy: 1, allowed 1e-06" in told


def test_a_folder_without_a_pack_is_named(script, tmp_path):
    with pytest.raises(SystemExit, match=r"error: File .*index\.json does not exist"):
        script.main(["--check", str(tmp_path)])


@pytest.mark.parametrize("args", [[], ["--output", "a", "--check", "b"], ["--cases", "0"]])
def test_what_makes_no_sense_is_refused(script, args):
    with pytest.raises(SystemExit) as refused:
        script.parse_args(args)
    assert refused.value.code == 2
