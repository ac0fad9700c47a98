"""A local stand-in for Hugging Face's server: the few endpoints its client uses."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
from urllib.parse import unquote, urlsplit

from file_server import running


class HubServer(http.server.ThreadingHTTPServer):
    """Holds repositories of files.

    Attributes:
        repositories: name -> file name -> bytes.
        uploads: SHA-256 -> bytes of large files that a commit will name.
        commit: number of the newest commit.
        requests: (method, path) of what was asked.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.uploads: dict[str, bytes] = {}
        self.commit = 1
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def commit_hash(self):
        return f"{self.commit:040x}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self._path()
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/.+", path):
            self._info(found[1])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/.+", path):
            self._tree(found[1])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)", path):
            self._info(found[1])
        elif path == "/api/whoami-v2":
            self._json({"name": "me", "type": "user", "orgs": []})
        else:
            self._file(path)

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        path, body = self._path(), self._body()
        if path == "/api/repos/create":
            values = json.loads(body)
            name = f"{values.get('organization') or 'me'}/{values['name']}"
            self.server.repositories.setdefault(name, {})
            self._json({"url": f"{self.server.url}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(".h5") else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                each
                | {"actions": {"upload": {"href": f"{self.server.url}/put/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/.+", path):
            self._commit(found[1], body)
        else:
            self._missing()

    def do_PUT(self):
        oid = self._path().removeprefix("/put/")
        content = self._body()
        assert hashlib.sha256(content).hexdigest() == oid
        self.server.uploads[oid] = content
        self._json({})

    def _commit(self, name, body):
        files = self.server.repositories[name]
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.uploads[value["oid"]]
        self.server.commit += 1
        self._json(
            {
                "commitUrl": f"{self.server.url}/{name}/commit/{self.server.commit_hash}",
                "commitOid": self.server.commit_hash,
                "success": True,
            }
        )

    def _info(self, name):
        files = self.server.repositories.get(name)
        if files is None:
            self._missing("RepoNotFound")
            return
        self._json(
            {
                "id": name,
                "modelId": name,
                "sha": self.server.commit_hash,
                "private": False,
                "disabled": False,
                "gated": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": each} for each in files],
            }
        )

    def _tree(self, name):
        files = self.server.repositories.get(name)
        if files is None:
            self._missing("RepoNotFound")
            return
        self._json(
            [
                {"type": "file", "path": path, "size": len(content), "oid": _mark(content)}
                for path, content in files.items()
            ]
        )

    def _file(self, path):
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        files = self.server.repositories.get(found[1]) if found else None
        if files is None:
            self._missing("RepoNotFound")
        elif found[2] not in files:
            self._missing("EntryNotFound")
        else:
            content = files[found[2]]
            headers = {"ETag": f'"{_mark(content)}"', "Accept-Ranges": "bytes"}
            self._send(200, content, headers)

    def _path(self):
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, path))
        return path

    def _body(self):
        length = self.headers.get("Content-Length")
        if length is not None:
            return self.rfile.read(int(length))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, values):
        headers = {"Content-Type": "application/json"}
        self._send(200, json.dumps(values).encode(), headers)

    def _missing(self, code="EntryNotFound"):
        self._send(404, b"", {"X-Error-Code": code, "X-Error-Message": "it is not here"})

    def _send(self, status, content, headers):
        self.send_response(status)
        self.send_header("X-Repo-Commit", self.server.commit_hash)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_arguments):
        pass


def _mark(content):
    return hashlib.sha256(content).hexdigest()


def serving_hub():
    """Runs a `HubServer` in a thread."""
    return running(HubServer())
