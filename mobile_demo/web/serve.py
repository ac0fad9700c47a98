"""Serves the pose page to browsers: to this machine's, and to phones on the same network.

    python mobile_demo/web/serve.py
    python mobile_demo/web/serve.py --models FOLDER --https
    python mobile_demo/web/serve.py --models FOLDER --output SITE

FOLDER holds .tflite files with their contracts (pose_model.json, or inside), also in
folders of its own; or a bundle, which the page holds against its manifest.json. The first
start fetches LiteRT.js by `npm ci`; afterwards nothing comes from elsewhere.
Browsers give cameras only to pages of https or localhost: hence --https, with a
certificate made here, which the phone asks you to accept. --output writes the site as
files for any web server instead, which should send the headers of `HEADERS`.
"""

import argparse
import hashlib
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

WEB = Path(__file__).resolve().parent
sys.path.insert(0, str(WEB.parents[1]))  # run from a clone

from keras_pose import shipped
from keras_pose.commandline import plain_errors
from keras_pose.contracts.entries import CONTRACT_NAME, contracts_beside
from keras_pose.files import atomic_path, read_json
from keras_pose.modelfiles.embedded import extract

MANIFEST_NAME = "manifest.json"  # of a bundle
PACK_FILES = ("index.json", "arrays.bin")  # of a parity pack
LITERT = WEB / "node_modules" / "@litertjs"
# What the page is made of: folder of the site -> folder of this checkout.
FOLDERS = {
    "": WEB / "app",
    "core": WEB / "core",
    "worker": WEB / "worker",
    "litert": LITERT / "core" / "dist",
    "litert/wasm": LITERT / "core" / "wasm",
    "litert/wasm-utils": LITERT / "wasm-utils" / "dist",
}
# Threads need a page that has its process to itself.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Look whether a file has changed, each time; offline, the service worker answers.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
TYPES = {
    ".bin": "application/octet-stream",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".tflite": "application/octet-stream",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--models", metavar="DIR", type=Path, default=default_models(),
        help="folder of .tflite files (default: models beside this file, else those that "
        "come with the package)")  # fmt: skip
    add("--host", default="0.0.0.0", help="127.0.0.1 for this machine only")
    add("--port", type=int, default=8000, help="0 for any that is free")
    add("--https", action="store_true", help="with a certificate made by openssl")
    add("--output", metavar="DIR", type=Path, help="write the site here, serve nothing")
    return parser.parse_args(argv)


def default_models() -> Path:
    """Returns the folder that `export/bundle_mobile.py` fills, or the shipped models'."""
    return WEB / "models" if (WEB / "models").is_dir() else shipped.FOLDER


@dataclass
class Site:
    """Files to serve: path in the site -> file, or content made here."""

    files: dict[str, Path] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def read(self, path: str) -> bytes | None:
        """Returns what stands at a path; None for nothing."""
        if path in self.texts:
            return self.texts[path].encode()
        return self.files[path].read_bytes() if path in self.files else None

    def version(self, path: str) -> str:
        """Returns what changes when the content of a path does (an HTTP entity tag)."""
        if path in self.texts:
            return f'"{hashlib.sha256(self.texts[path].encode()).hexdigest()[:20]}"'
        state = self.files[path].stat()
        return f'"{state.st_size:x}-{state.st_mtime_ns:x}"'


def build_site(models: Path) -> Site:
    """Collects the page, LiteRT.js and the models.

    Raises:
        FileNotFoundError: for a folder without models.
        ValueError: for a `pose_model.json` that is no contract.
    """
    site = Site()
    for prefix, folder in FOLDERS.items():
        for file in sorted(folder.iterdir()):
            if file.suffix in TYPES:
                site.files[f"{prefix}/{file.name}".lstrip("/")] = file
    source = site.files.pop("litert/index.js").read_text(encoding="utf-8")
    site.texts["litert/index.js"] = fitted(source)
    add_models(site, models)
    # The service worker keeps all of this for when there is no network. The other
    # builds of the WASM are kept when they are used.
    shell = [path for path in (*site.files, *site.texts) if keeps_at_once(path)]
    site.texts["files.json"] = json.dumps(sorted(shell))
    return site


def fitted(source: str) -> str:
    """Changes two things in LiteRT.js.

    Raises:
        ValueError: where it is not the version that `package-lock.json` names.
    """
    changes = {
        # Workers know no import maps: the one bare name becomes a path.
        'from "@litertjs/wasm-utils"': 'from "./wasm-utils/index.js"',
        # Its WASM runs files with int8 outputs; only this list stands in their way.
        "var DATATYPES = Object.freeze([": "var DATATYPES = Object.freeze(["
        '{dtype: "int8", typedArrayConstructor: Int8Array, elementType: ElementType.INT8},'
        '{dtype: "int16", typedArrayConstructor: Int16Array,'
        " elementType: ElementType.INT16},",
    }
    for old, new in changes.items():
        if source.count(old) != 1:
            raise ValueError(f"LiteRT.js is another version than expected: no {old!r}.")
        source = source.replace(old, new)
    return source


def keeps_at_once(path: str) -> bool:
    """Returns True if the page needs a file from the beginning, whatever the browser."""
    return not path.startswith(("litert/wasm/", "models/")) and path != "service_worker.js"


def add_models(site: Site, folder: Path) -> None:
    """Adds models, their contracts, and `models/index.json`, which the page lists."""
    manifest = folder / MANIFEST_NAME
    is_bundle = manifest.is_file()
    rows = []
    for file in sorted(folder.rglob("*.tflite")):
        # Whether it is the file that its contract describes, the page looks.
        entry = contracts_beside(file).get(file.name) or extract(file)
        if entry is not None:
            path = add_file(site, folder, file)
            add_file(site, folder, file.with_name(CONTRACT_NAME))
            rows.append(describe(path, entry, file.stat().st_size))
    if all(row["task"] == "detection" for row in rows):
        raise FileNotFoundError(
            f"{folder} holds no pose model: expected .tflite files and {CONTRACT_NAME}. "
            "export/to_tflite.py --float16 --weights FILE --output FOLDER/pose.tflite "
            "writes both."
        )
    threshold = box_threshold(folder)
    for row in rows:
        row["box_threshold"] = threshold
    if is_bundle:
        add_file(site, folder, manifest)
        values = read_json(manifest)
        names = list(values.get("labels", {}).values())
        # What the models answered in Python: the page holds accelerators against it.
        if "models" in values.get("parity", {}):
            names += [f"{values['parity']['models']}/{name}" for name in PACK_FILES]
        for name in names:
            add_file(site, folder, folder / name)
    index = {"manifest": f"models/{MANIFEST_NAME}" if is_bundle else None, "models": rows}
    site.texts["models/index.json"] = json.dumps(index)


def add_file(site: Site, folder: Path, file: Path) -> str:
    """Adds a file of the models' folder, if it is there; returns its path in the site."""
    path = f"models/{file.relative_to(folder).as_posix()}"
    if file.is_file():
        site.files[path] = file
    return path


def box_threshold(folder: Path) -> float | None:
    """Returns the score above which a folder's detectors are believed; None without one."""
    if (folder / MANIFEST_NAME).is_file():
        return read_json(folder / MANIFEST_NAME).get("settings", {}).get("box_threshold")
    is_shipped = folder.resolve() == shipped.FOLDER.resolve()
    return shipped.shipped_box_threshold() if is_shipped else None


def describe(path: str, entry: dict, num_bytes: int) -> dict:
    """Returns what the page's list of models says of one."""
    return {
        "path": path,
        "task": entry.get("task", "top_down"),
        "model": entry["model"],
        "quantization": entry["quantization"],
        "input_hw": entry["input"]["shape"][1:3],
        "bytes": num_bytes,
    }


def install() -> None:
    """Fetches LiteRT.js, once.

    Raises:
        FileNotFoundError: where npm is missing.
        ChildProcessError: where npm fails.
    """
    if (LITERT / "core" / "package.json").exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(
            "The page needs LiteRT.js, which npm fetches, and there is no npm. Install "
            "Node.js 20 or later (nodejs.org)."
        )
    print("Fetching LiteRT.js by npm ci, this once.")
    command = [npm, "ci", "--omit=dev", "--no-audit", "--no-fund"]
    result = subprocess.run(command, cwd=WEB, capture_output=True, text=True)
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        raise ChildProcessError(
            f"npm ci failed: {lines[-1] if lines else result.returncode}"
        )


def handler_of(site: Site) -> type[http.server.BaseHTTPRequestHandler]:
    """Returns a request handler for a site."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._answer(with_body=True)

        def do_HEAD(self):
            self._answer(with_body=False)

        def _answer(self, with_body):
            path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/")
            path = path or "index.html"
            content = site.read(path)
            if content is None:
                self._send(404, b"There is no such file.", ".txt", {}, with_body)
                return
            version = {"ETag": site.version(path)}
            if self.headers.get("If-None-Match") == version["ETag"]:
                self._send(304, b"", Path(path).suffix, version, False)
                return
            self._send(200, content, Path(path).suffix, version, with_body)

        def _send(self, status, body, suffix, headers, with_body):
            self.send_response(status)
            headers = HEADERS | headers | {"Content-Type": TYPES[suffix]}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *args):
            """Does nothing: a page asks for dozens of files."""

    return Handler


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Leaves out those who hang up, or who do not like the certificate."""
        if not isinstance(sys.exception(), (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


def certificate(addresses: list[str], folder: Path = WEB / "certificate") -> Path:
    """Makes a certificate of this machine's addresses, or takes the one made before.

    Raises:
        FileNotFoundError: where openssl is missing.
    """
    path = folder / f"{'_'.join(addresses)}.pem"
    if path.exists():
        return path
    openssl = shutil.which("openssl")
    if openssl is None:
        raise FileNotFoundError("--https makes a certificate by openssl, which is missing.")
    names = ",".join(["DNS:localhost", *(f"IP:{address}" for address in addresses)])
    with atomic_path(path) as temporary:
        temporary.touch(mode=0o600)  # the key is in it
        command = f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 365 -sha256"
        settings = ["-subj", "/CN=keras_pose", "-addext", f"subjectAltName={names}"]
        key = temporary.with_suffix(".key")
        files = ["-keyout", str(key), "-out", str(temporary)]
        subprocess.run(
            [*command.split(), *settings, *files], check=True, capture_output=True
        )
        temporary.write_text(temporary.read_text() + key.read_text())
        key.unlink()
    return path


def network_address() -> str | None:
    """Returns this machine's address in its network; None where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: this only asks which way packets would go.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def open_server(site: Site, host: str, port: int, is_https: bool) -> Server:
    """Opens the server's port; `serve_forever` answers."""
    server = Server((host, port), handler_of(site))
    if is_https:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate(addresses_of(host)))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def addresses_of(host: str) -> list[str]:
    """Returns what browsers may call this machine."""
    if host != "0.0.0.0":
        return [host]
    return ["127.0.0.1", *filter(None, [network_address()])]


def tell(server: Server, host: str, is_https: bool) -> None:
    """Prints where the page is, and what a phone needs."""
    scheme, port = ("https" if is_https else "http"), server.server_address[1]
    print(f"On this machine:           {scheme}://localhost:{port}/")
    phone = network_address() if host == "0.0.0.0" else None
    if phone:
        print(f"Phone on the same network: {scheme}://{phone}:{port}/")
    if is_https:
        print(
            "Browsers warn of the certificate, which is this machine's own: go on anyway."
        )
    else:
        print("Phones get pictures and videos by http, but cameras only by https: --https.")
    print("Ctrl-C ends.", flush=True)


def write_site(site: Site, folder: Path) -> None:
    """Writes all files of a site."""
    for path in (*site.files, *site.texts):
        with atomic_path(folder / path) as temporary:
            temporary.write_bytes(site.read(path) or b"")
    print(f"Wrote {len(site.files) + len(site.texts)} files into {folder}.")


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    install()
    site = build_site(args.models)
    if args.output:
        write_site(site, args.output)
        return
    server = open_server(site, args.host, args.port, args.https)
    tell(server, args.host, args.https)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
