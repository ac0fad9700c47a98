"""What the tests of the browser's part need: programs, and the page's server."""

import functools
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from mobile.kotlin_tools import compile_all
from mobile.replays import OPTION, replay_of
from mobile.swift_tools import require_swift
from shared_work import shared_folder

WEB = Path(__file__).resolve().parents[2] / "mobile_demo" / "web"
OLDEST_NODE = 20


@pytest.fixture
def replay_of_core(request):
    """`replay_of` of a core, recorded if that was asked for."""
    return functools.partial(replay_of, is_recorded=request.config.getoption(OPTION))


@pytest.fixture(scope="session")
def node():
    """Path of Node.js; tests that need it are skipped where it is absent or too old."""
    path = shutil.which("node")
    if path is None:
        pytest.skip(f"needs Node.js {OLDEST_NODE} or later: the program `node`")
    version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    if int(re.findall(r"\d+", version)[0]) < OLDEST_NODE:
        pytest.skip(f"needs Node.js {OLDEST_NODE} or later, found {version.strip()}")
    return path


@pytest.fixture(scope="session")
def kotlin_classes(tmp_path_factory):
    """The class path of all that runs on a plain JVM; compiling takes a minute or two."""
    with shared_folder(tmp_path_factory, "kotlin") as (folder, is_new):
        return compile_all(folder, is_new)


@pytest.fixture(scope="session")
def swift():
    """Runs Swift; tests are skipped where there is none, or where it may not be run."""
    return require_swift()


@pytest.fixture(scope="session")
def browser():
    """The module mobile_demo/web/browser.py."""
    spec = importlib.util.spec_from_file_location("web_browser", WEB / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def serve(browser):
    """The module mobile_demo/web/serve.py."""
    return browser.load_serve()


@pytest.fixture(scope="session")
def litert_js():
    """Skips where npm has not fetched LiteRT.js."""
    if not (WEB / "node_modules" / "@litertjs" / "core").is_dir():
        pytest.skip("needs LiteRT.js: run `npm ci` in mobile_demo/web")


@pytest.fixture(scope="session")
def browse(node, litert_js, browser, serve, tmp_path_factory):
    """Opens the page for a folder of models in headless Chromium; returns its report."""
    try:
        browser.find_browser()
    except browser.AbsentError as error:
        pytest.skip(f"needs {error}")

    def run(models, **plan):
        output = tmp_path_factory.mktemp("browser")
        report = browser.browse(serve.build_site(models), output, **plan)
        return report | {"folder": output}

    return run
