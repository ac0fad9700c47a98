"""The page in headless Chromium, for tests and measurements: serves it and plays a user.

What the user does is a plan for tests/browse.js, which says what there is.
"""

import importlib.util
import json
import shutil
import subprocess
import threading
from pathlib import Path

WEB = Path(__file__).resolve().parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class AbsentError(Exception):
    """Something that this machine does not have; says what."""


def load_serve():
    """Returns the module serve.py, which is a script."""
    spec = importlib.util.spec_from_file_location("web_serve", WEB / "serve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find_browser() -> str:
    """Returns the path of a browser.

    Raises:
        AbsentError: without one, or without what drives it.
    """
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise AbsentError(f"a browser: one of the programs {', '.join(BROWSERS)}")
    if shutil.which("node") is None:
        raise AbsentError("Node.js: the program node")
    if not (WEB / "node_modules" / "playwright-core").is_dir():
        raise AbsentError("playwright-core: npm ci in mobile_demo/web")
    return path


def browse(site, output: Path, **plan) -> dict:
    """Opens a site as a user would.

    Args:
        site: pages and models, from `build_site` of serve.py.
        output: folder for frames, screenshots and the report.
        plan: settings of tests/browse.js, which explains them.

    Returns:
        What it wrote down; see tests/browse.js.

    Raises:
        AbsentError: as `find_browser`.
        ChildProcessError: where the page did not come as far as the plan goes.
    """
    plan |= {"chromium": find_browser(), "output": str(output)}
    server = load_serve().open_server(site, "127.0.0.1", 0, False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    plan["url"] = f"http://localhost:{server.server_address[1]}/"
    command = ["node", "tests/browse.js", json.dumps(plan)]
    try:
        result = subprocess.run(
            command, cwd=WEB, capture_output=True, text=True, timeout=900
        )
    finally:
        server.shutdown()
        server.server_close()
    if result.returncode:
        raise ChildProcessError(f"tests/browse.js failed: {result.stderr}")
    report = json.loads((output / "report.json").read_text())
    if "error" in report:
        raise ChildProcessError(f"The page: {report['error']} {report['log']}")
    return report
