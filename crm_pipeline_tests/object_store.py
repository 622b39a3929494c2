"""A small S3: what the Delta library needs of one, over real HTTP, and faults on request.

Here: objects, ranges, lists, conditional puts, uploads in parts; rules that make calls fail. Not
here: signatures (any key is taken), versions. It runs in a process of its own: the Delta library
keeps Python's lock while it waits for some answers.
"""

import email.utils
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

#: Where a test tells the store what to do.
_ORDERS = "/_orders"


@dataclass
class Rule:
    """Calls that go wrong: by method (``LIST`` is a GET of a list) and a pattern of the key.

    ``after`` calls pass first, then ``times`` of them fail (None: all). ``status`` 0 lets the call
    wait ``seconds`` and cuts the connection; ``is_done`` does the work before it fails.
    """

    status: int
    code: str = "InternalError"
    method: str = ""
    key: str = ""
    after: int = 0
    times: int | None = None
    seconds: float = 0.0
    is_done: bool = False

    def fires(self, method: str, key: str) -> bool:
        if (self.method and self.method != method) or not re.search(self.key, key):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            if self.times == 0:
                return False
            self.times -= 1
        return True


@dataclass
class Held:
    """What the store holds and has been asked; for the process that serves."""

    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def first(self, method: str, key: str) -> Rule | None:
        with self.lock:
            self.calls.append(f"{method} {key}")
            return next((rule for rule in self.rules if rule.fires(method, key)), None)

    def told(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what a test asks for; return what is held."""
        with self.lock:
            if "fail" in order:
                self.rules.append(Rule(**order["fail"]))
            if order.get("heal"):
                self.rules.clear()
            if order.get("forget_calls"):
                self.calls.clear()
            return {"objects": sorted(self.objects), "calls": list(self.calls)}


class ObjectStore:
    """The running store as a test speaks to it. ``url`` is its endpoint."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a process reaches it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def fail(self, status: int, code: str = "InternalError", **how: Any) -> None:
        """Let calls fail from now on."""
        self._tell({"fail": {"status": status, "code": code, **how}})

    def heal(self) -> None:
        """Let all calls work again."""
        self._tell({"heal": True})

    def objects(self) -> list[str]:
        """Return bucket and key of each object."""
        found: list[str] = self._tell({})["objects"]
        return found

    def calls(self) -> list[str]:
        """Return method and key of each call since they were last asked for."""
        found: list[str] = self._tell({"forget_calls": True})["calls"]
        return found

    def _tell(self, order: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(order).encode()
        with urllib.request.urlopen(self.url + _ORDERS, body, timeout=30) as answer:
            document: dict[str, Any] = json.load(answer)
        return document


@contextmanager
def running_store() -> Iterator[ObjectStore]:
    """Run a store for a block."""
    command = [sys.executable, "-m", "crm_pipeline_tests.object_store"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield ObjectStore(process.stdout.readline().strip())
        finally:
            process.kill()


def serve() -> None:
    """Serve until killed; say where on standard output."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held = Held()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _do(self) -> None:
        path, _, query = self.path.partition("?")
        self.key = urllib.parse.unquote(path).strip("/")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == _ORDERS:
            self._send(200, json.dumps(self.held.told(json.loads(self.body))).encode())
            return
        method = "LIST" if "list-type" in self.query else self.command
        rule = self.held.first(method, self.key or self.query.get("prefix", ""))
        if rule is None:
            with self.held.lock:
                answer = self._answer()
            self._send(*answer)
            return
        if rule.is_done:
            with self.held.lock:
                self._answer()
        time.sleep(rule.seconds)
        if rule.status == 0:
            self.close_connection = True
            self.connection.close()
            return
        self._send(rule.status, _problem(rule.code))

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _do  # noqa: N815  the library's names

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self) -> tuple[Any, ...]:
        if "list-type" in self.query:
            return 200, self._listed()
        if self.command in ("GET", "HEAD"):
            return self._read()
        if self.command == "DELETE":
            self.held.objects.pop(self.key, None)
            return (204,)
        if self.command == "POST" and "delete" in self.query:
            return self._delete_many()
        return self._upload()

    def _upload(self) -> tuple[Any, ...]:
        number = self.query.get("uploadId", "")
        if "uploads" in self.query:
            number = str(len(self.held.uploads))
            self.held.uploads[number] = {}
            return 200, _xml("InitiateMultipartUploadResult", f"<UploadId>{number}</UploadId>")
        if "partNumber" in self.query:
            self.held.uploads[number][int(self.query["partNumber"])] = self.body
            return 200, b"", {"ETag": _etag(self.body)}
        if number:
            parts = self.held.uploads.pop(number)
            self.held.objects[self.key] = b"".join(parts[each] for each in sorted(parts))
            return 200, _xml("CompleteMultipartUploadResult", "<ETag>&quot;x&quot;</ETag>")
        if self.headers.get("If-None-Match") == "*" and self.key in self.held.objects:
            return 412, _problem("PreconditionFailed")
        self.held.objects[self.key] = self.body
        return 200, b"", {"ETag": _etag(self.body)}

    def _read(self) -> tuple[Any, ...]:
        body = self.held.objects.get(self.key)
        if body is None:
            return 404, _problem("NoSuchKey")
        headers = {
            "ETag": _etag(body),
            "Last-Modified": email.utils.formatdate(usegmt=True),
        }
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        if wanted is None:
            return 200, body, {**headers, "Content-Length": str(len(body))}
        first, last = wanted.groups()
        begin = int(first) if first else max(0, len(body) - int(last))
        end = min(int(last) + 1, len(body)) if first and last else len(body)
        part = body[begin:end]
        return 206, part, {**headers, "Content-Range": f"bytes {begin}-{end - 1}/{len(body)}"}

    def _listed(self) -> bytes:
        bucket = self.key
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        after = self.query.get("start-after", "")
        files, folders = [], set()
        for name in sorted(self.held.objects):
            key = name.removeprefix(f"{bucket}/")
            rest = key[len(prefix) :]
            if not name.startswith(f"{bucket}/{prefix}") or key <= after:
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
            else:
                files.append((key, self.held.objects[name]))
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        content = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size>"
            f"<LastModified>{now}</LastModified><ETag>{escape(_etag(body))}</ETag></Contents>"
            for key, body in files
        )
        content += "".join(
            f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>"
            for each in sorted(folders)
        )
        count = f"<KeyCount>{len(files)}</KeyCount><IsTruncated>false</IsTruncated>"
        return _xml("ListBucketResult", count + content)

    def _delete_many(self) -> tuple[Any, ...]:
        keys = re.findall(r"<Key>(.*?)</Key>", self.body.decode())
        for key in keys:
            self.held.objects.pop(f"{self.key}/{key}", None)
        deleted = "".join(f"<Deleted><Key>{each}</Key></Deleted>" for each in keys)
        return 200, _xml("DeleteResult", deleted)


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def _xml(name: str, content: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><{name}>{content}</{name}>'.encode()


def _problem(code: str) -> bytes:
    return _xml("Error", f"<Code>{code}</Code><Message>{code}</Message>")


if __name__ == "__main__":
    serve()
