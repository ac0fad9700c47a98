"""The files to copy of docs/cluster.md: their commands are commands."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from keras_pose import __main__ as command

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def _parser(name):
    path = ROOT / "training" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"page_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.parse_args


def _commands():
    """Yields the words of every command of ours, variables as 0."""
    for _, text in BLOCKS:
        text = re.sub(r"\\\n|#.*?pictures.*|\n {14}(?=--)", " ", text)
        text = re.sub(r'"?\$\{?\w+\}?"?', "0", text)
        for line in text.splitlines():
            found = re.search(
                r"(?:python )?(training/\w+\.py|keras-pose train|-m keras_pose) ?(.*)", line
            )
            if found and not line.strip().startswith("#"):
                words = shlex.split(found[2].replace("'", " "), comments=True)
                yield found[1], words


def test_all_commands_of_the_page_are_taken():
    parsers = {name: _parser(name) for name in ("train", "serve_data")}
    programs = []
    for program, words in _commands():
        name = "train" if "train" in program and "serve" not in program else "serve_data"
        if program == "-m keras_pose":
            command.parse_args(words)
            continue
        args = parsers[name](words)
        programs.append(name)
        if name == "train" and args.workers:
            assert args.run_dir
    assert programs.count("train") >= 5
    assert programs.count("serve_data") == 1


def test_the_job_is_yaml_of_as_many_pods_as_workers():
    yaml = pytest.importorskip("yaml")
    (text,) = [text for kind, text in BLOCKS if kind == "yaml"]
    service, job = yaml.safe_load_all(text)
    spec = job["spec"]
    container = spec["template"]["spec"]["containers"][0]
    workers = re.search(r"--workers (\S+)", container["args"][0])[1].split(",")
    assert len(workers) == spec["completions"] == spec["parallelism"]
    names = [f"{job['metadata']['name']}-{i}" for i in range(len(workers))]
    subdomain = spec["template"]["spec"]["subdomain"]
    assert subdomain == service["metadata"]["name"]
    assert workers == [f"{name}.{subdomain}:2222" for name in names]
