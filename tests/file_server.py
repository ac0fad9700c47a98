"""A small HTTP server for tests: serves files of a dictionary, and can misbehave."""

from __future__ import annotations

import contextlib
import http.server
import threading


class FileServer(http.server.ThreadingHTTPServer):
    """Serves `files` (name -> bytes) and notes each request.

    Attributes:
        requests: (name, Range header or None) of what was asked for.
        break_after: bytes after which the next answer breaks off; None for not.
        takes_ranges: whether parts may be asked for.
        version: the files' ETag.
        redirect: address to send everybody to; None for none.
        extra_length: bytes that are announced and never come.
    """

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.requests = []
        self.break_after = None
        self.takes_ranges = True
        self.version = '"1"'
        self.redirect = None
        self.extra_length = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name, asked = self.path.lstrip("/"), self.headers.get("Range")
        self.server.requests.append((name, asked))
        if self.server.redirect:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
        elif name not in self.server.files:
            self.send_error(404)
        else:
            self._send(self.server.files[name], asked)

    def _send(self, content, asked):
        is_same = self.headers.get("If-Range") == self.server.version
        start = 0
        if asked and is_same and self.server.takes_ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        else:
            self.send_response(200)
        length = len(content) - start + self.server.extra_length
        self.send_header("Content-Length", str(length))
        if self.server.version:
            self.send_header("ETag", self.server.version)
        self.end_headers()
        stop, self.server.break_after = self.server.break_after, None
        self.wfile.write(content[start:][:stop])

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def running(server):
    """Runs a server in a thread."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def serving(files):
    """Runs a `FileServer` in a thread."""
    return running(FileServer(files))
