"""The reverse proxy that we ship, as a real nginx in front of real processes."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf"
PROGRAMS = Path(sys.executable).parent
SECRET = "hook-secret-hook-secret-hook-secret"
ORGANISATION = """
sources:
  loke:
    organisation_id: 01HPLUM
    base_url: http://127.0.0.1:1
    webhooks: {url: "https://hooks.example.com", secret: {env: LOKE_HOOK_SECRET}}
destinations: {crm_com: {base_url: "http://127.0.0.1:1/backoffice/v2"}}
"""
EVENT = json.dumps(
    {
        "event": "customer.updated",
        "organization": {"id": "01HPLUM"},
        "customer": {"id": "01C", "updatedAt": "2026-01-01T00:00:00Z"},
    }
).encode()

pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine"),
    pytest.mark.slow,
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, "the process ended before it listened"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nothing listens on {port}")


@contextmanager
def running(command: list[str], port: int, **more: object) -> Iterator[None]:
    process = subprocess.Popen(command, **more)  # type: ignore[call-overload]
    try:
        wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def config(folder: Path, ports: dict[str, int]) -> Path:
    """The shipped file, with the ports, paths and names of this test and without TLS."""
    text = SHIPPED.read_text()
    for line in [each for each in text.splitlines() if each.strip().startswith("ssl_")]:
        text = text.replace(line + "\n", "")
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{ports['proxy']}"),
        ("127.0.0.1:8810", f"127.0.0.1:{ports['receiver']}"),
        ("127.0.0.1:3000", f"127.0.0.1:{ports['operators']}"),
        ("127.0.0.1:3001", f"127.0.0.1:{ports['viewers']}"),
        ("/etc/nginx/crm-pipeline", f"{folder}/crm-pipeline"),
        ("/var/log/nginx", str(folder)),
        ("pid /run/nginx", f"pid {folder}/nginx"),
        ("worker_processes auto;", f"worker_processes 1; daemon off;{as_ourselves()}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    text = text.replace("http {\n", temporary_folders(folder), 1)
    for name in ("crm-pipeline", "crm-pipeline-viewers"):
        (folder / f"{name}.htpasswd").write_text("ada:{PLAIN}lovelace\n")
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


def as_ourselves() -> str:
    """Let nginx's workers read the test's folder; only root's nginx changes its user."""
    return " user root;" if os.getuid() == 0 else ""


def temporary_folders(folder: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "http {\n" + "".join(f"    {each}_temp_path {folder}/{each};\n" for each in kinds)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, dict[str, int]]]:
    folder = tmp_path_factory.mktemp("proxy")
    folder.chmod(0o755)
    ports = {name: free_port() for name in ("proxy", "receiver", "operators", "viewers")}
    (folder / "organisations").mkdir()
    (folder / "organisations" / "plum.yaml").write_text(ORGANISATION)
    (folder / "dagster").mkdir()
    environ = {
        **os.environ,
        "CRM_PIPELINE_HOME": str(folder / "home"),
        "CRM_PIPELINE_CONFIG": str(folder / "organisations"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "LOKE_HOOK_SECRET": SECRET,
    }
    quiet = {"env": environ, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    receiver = [str(PROGRAMS / "crm-pipeline"), "receiver", "--port", str(ports["receiver"])]
    web = [str(PROGRAMS / "dagster-webserver"), "--empty-workspace", "-p"]
    with ExitStack() as stack:
        stack.enter_context(running(receiver, ports["receiver"], **quiet))
        stack.enter_context(running([*web, str(ports["operators"])], ports["operators"], **quiet))
        viewer = [*web, str(ports["viewers"]), "--read-only"]
        stack.enter_context(running(viewer, ports["viewers"], **quiet))
        command = [str(NGINX), "-e", str(folder / "e.log"), "-c", str(config(folder, ports))]
        stack.enter_context(running(command, ports["proxy"]))
        yield ports["proxy"], ports


def ask(
    port: int, host: str, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, {"Host": host, **names})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def as_ada(port: int, host: str, method: str, path: str, body: bytes | None = None, **more: str):
    secret = base64.b64encode(b"ada:lovelace").decode()
    more.setdefault("Content_Type", "application/json")
    return ask(port, host, method, path, body, Authorization=f"Basic {secret}", **more)


def signed(body: bytes) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {"X_Event_Signature": f"sha256={digest}", "Content_Type": "application/json"}


HOOKS, OPERATORS, VIEWERS = "hooks.example.com", "dagster.example.com", "viewer.example.com"


def test_a_webhook_goes_through_and_a_forged_one_is_refused_by_the_receiver(proxy):
    port, _ = proxy
    path = "/webhooks/loke/plum"
    assert ask(port, HOOKS, "POST", path, EVENT, **signed(EVENT))[0] == 200
    assert ask(port, HOOKS, "POST", path, EVENT, **signed(b"other"))[0] == 401


def test_a_body_of_any_size_reaches_the_receiver_which_alone_refuses_it(proxy):
    port, _ = proxy
    large = b"x" * (3 << 20)
    status, _ = ask(port, HOOKS, "POST", "/webhooks/loke/plum", large, **signed(large))
    assert status == 413


def test_the_proxy_asks_for_another_try_when_no_receiver_answers(proxy, tmp_path):
    _, ports = proxy
    dead = {**ports, "proxy": free_port(), "receiver": free_port()}
    tmp_path.chmod(0o755)
    command = [str(NGINX), "-e", str(tmp_path / "e.log"), "-c", str(config(tmp_path, dead))]
    with running(command, dead["proxy"]):
        path = "/webhooks/loke/plum"
        assert ask(dead["proxy"], HOOKS, "POST", path, EVENT, **signed(EVENT))[0] == 503
        assert ask(dead["proxy"], HOOKS, "GET", "/elsewhere")[0] == 404


def test_health_and_figures_are_not_public(proxy):
    port, _ = proxy
    for path in ("/healthz", "/readyz", "/metrics"):
        assert ask(port, HOOKS, "GET", path)[0] == 404


def test_the_ui_asks_for_a_password_and_shows_itself_to_who_has_it(proxy):
    port, _ = proxy
    for host in (OPERATORS, VIEWERS):
        assert ask(port, host, "GET", "/server_info")[0] == 401
        status, body = as_ada(port, host, "GET", "/server_info")
        assert status == 200
        assert b"dagster_webserver_version" in body


MUTATION = "mutation{reloadWorkspace{__typename}}"


def test_nothing_is_changed_by_a_link(proxy):
    port, _ = proxy
    for host in (OPERATORS, VIEWERS):
        link = f"/graphql?query={MUTATION.replace('{', '%7B').replace('}', '%7D')}"
        assert as_ada(port, host, "GET", link)[0] == 405
    body = json.dumps({"query": MUTATION}).encode()
    status, answer = as_ada(port, OPERATORS, "POST", "/graphql", body)
    assert status == 200
    assert b"reloadWorkspace" in answer


def test_who_may_only_look_changes_nothing(proxy):
    port, _ = proxy
    body = json.dumps(
        {"query": "mutation{reloadWorkspace{__typename ... on UnauthorizedError {message}}}"}
    )
    status, answer = as_ada(port, VIEWERS, "POST", "/graphql", body.encode())
    assert status == 200
    assert b"Unauthorized" in answer
    assert as_ada(port, VIEWERS, "POST", "/report_asset_materialization/x", b"{}")[0] == 403
    assert as_ada(port, OPERATORS, "POST", "/report_asset_check/x", b"{}")[0] == 403


def test_another_site_and_another_host_are_refused(proxy):
    port, _ = proxy
    body = json.dumps({"query": "{version}"}).encode()
    assert as_ada(port, OPERATORS, "POST", "/graphql", body)[0] == 200
    foreign = {"Origin": "https://evil.example"}
    assert as_ada(port, OPERATORS, "POST", "/graphql", body, **foreign)[0] == 403
    own = {"Origin": "https://dagster.example.com"}
    assert as_ada(port, OPERATORS, "POST", "/graphql", body, **own)[0] == 200
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        as_ada(port, "evil.example", "GET", "/server_info")


def test_no_version_is_told(proxy):
    port, _ = proxy
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/", headers={"Host": HOOKS})
    answer = connection.getresponse()
    assert answer.getheader("Server") == "nginx"
    connection.close()
