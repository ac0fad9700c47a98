"""What the tests of the browser's part need: programs, and the page's server."""

import importlib.util
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "mobile_demo" / "web"
OLDEST_NODE = 20
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


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
def serve():
    """The module mobile_demo/web/serve.py."""
    spec = importlib.util.spec_from_file_location("web_serve", WEB / "serve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def litert_js():
    """Skips where npm has not fetched LiteRT.js."""
    if not (WEB / "node_modules" / "@litertjs" / "core").is_dir():
        pytest.skip("needs LiteRT.js: run `npm ci` in mobile_demo/web")


@pytest.fixture(scope="session")
def browse(node, litert_js, serve, tmp_path_factory):
    """Opens the page for a folder of models in headless Chromium; returns its report."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        pytest.skip(f"needs a browser: one of the programs {', '.join(BROWSERS)}")
    if not (WEB / "node_modules" / "playwright-core").is_dir():
        pytest.skip("needs playwright-core: run `npm ci` in mobile_demo/web")

    def run(models, **plan):
        output = tmp_path_factory.mktemp("browser")
        server = serve.open_server(serve.build_site(models), "127.0.0.1", 0, False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://localhost:{server.server_address[1]}/"
        plan |= {"url": url, "output": str(output), "chromium": chromium}
        command = [node, "tests/browse.js", json.dumps(plan)]
        try:
            result = subprocess.run(
                command, cwd=WEB, capture_output=True, text=True, timeout=400
            )
        finally:
            server.shutdown()
            server.server_close()
        assert result.returncode == 0, result.stderr
        report = json.loads((output / "report.json").read_text())
        assert "error" not in report, (report["error"], report["log"])
        return report | {"folder": output}

    return run
