"""Dagster in the demo: its two processes, whether it answers, and its sensor switched on."""

import http.client
import json
import shutil
import sysconfig
from pathlib import Path

from crm_pipeline.cli.demo.children import Children
from crm_pipeline.errors import ConfigurationError

SENSOR = "changes_sensor"
_TIMEOUT_SECONDS = 30.0
_START_SENSOR = """
mutation($sensor: String!) {
  startSensor(sensorSelector: {
    repositoryName: "__repository__", repositoryLocationName: "crm_pipeline", sensorName: $sensor
  }) { __typename }
}
"""


def start_dagster(children: Children, folder: Path, port: int) -> None:
    """Start the web server, on loopback only, and the daemon."""
    workspace = ("-w", str(folder / "workspace.yaml"))
    children.start(
        "dagster-webserver",
        (_tool("dagster-webserver"), *workspace, "-h", "127.0.0.1", "-p", str(port)),
        log=folder / "logs" / "dagster-webserver.log",
    )
    children.start(
        "dagster-daemon",
        (_tool("dagster-daemon"), "run", *workspace),
        log=folder / "logs" / "dagster-daemon.log",
    )


def is_answering(port: int) -> bool:
    """Whether the web server is up."""
    return _request(port, "GET", "/server_info") is not None


def switch_sensor_on(port: int) -> bool:
    """Let the daemon look for changes; return whether Dagster agreed."""
    query = json.dumps({"query": _START_SENSOR, "variables": {"sensor": SENSOR}})
    answer = _request(port, "POST", "/graphql", query)
    return answer is not None and '"Sensor"' in answer


def _request(port: int, method: str, path: str, body: str | None = None) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        return text if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _tool(name: str) -> str:
    """Return a program of this Python environment."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise ConfigurationError(
            f"{name} is not installed.",
            not_done="The demo was stopped.",
            remedy="Install the package with its dependencies, or use --no-ui.",
        )
    return found
