"""Dagster in the demo: its processes, runs that are watched, sensors switched on."""

import http.client
import json
import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crm_pipeline.cli.demo.children import Child, Children
from crm_pipeline.errors import ConfigurationError

#: Whatever carries changes by itself, where the code location has it.
SENSORS = ("changes_sensor", "inbox_sensor", "orders_sensor")
_TIMEOUT_SECONDS = 30.0
_NAMES = """
query {
  repositoryOrError(repositorySelector: {
    repositoryName: "__repository__", repositoryLocationName: "crm_pipeline"
  }) { ... on Repository { sensors { name } } }
}
"""
_START_SENSOR = """
mutation($sensor: String!) {
  startSensor(sensorSelector: {
    repositoryName: "__repository__", repositoryLocationName: "crm_pipeline", sensorName: $sensor
  }) { __typename }
}
"""
_LAUNCH = """
mutation($job: String!, $config: RunConfigData!, $tags: [ExecutionTag!]!) {
  launchRun(executionParams: {
    selector: {
      repositoryName: "__repository__", repositoryLocationName: "crm_pipeline", jobName: $job
    }
    runConfigData: $config
    executionMetadata: {tags: $tags}
  }) { ... on LaunchRunSuccess { run { runId } } }
}
"""
_STATUS = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
#: How Dagster names a run that is over.
ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


def prepare_instance(children: Children, folder: Path) -> Child:
    """Make Dagster's databases, before two processes make them at once."""
    return children.start(
        "dagster instance migrate",
        (_tool("dagster"), "instance", "migrate"),
        log=folder / "logs" / "dagster-instance.log",
    )


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


def switch_sensors_on(port: int) -> tuple[str, ...]:
    """Let the daemon look for changes; return the names of the sensors, none until all are on."""
    found = _graphql(port, _NAMES, {}).get("repositoryOrError", {}).get("sensors", ())
    known = {sensor["name"] for sensor in found}
    names = tuple(name for name in SENSORS if name in known)
    return names if all(_switch_on(port, name) for name in names) else ()


def _switch_on(port: int, sensor: str) -> bool:
    answer = _graphql(port, _START_SENSOR, {"sensor": sensor})
    return bool(answer.get("startSensor", {}).get("__typename") == "Sensor")


def launch(port: int, job: str, config: Mapping[str, Any], label: str) -> str | None:
    """Start a run of a job; return its id, or None while Dagster does not know the job yet."""
    tags = [{"key": "demo", "value": label}]
    answer = _graphql(port, _LAUNCH, {"job": job, "config": config, "tags": tags})
    run: str | None = answer.get("launchRun", {}).get("run", {}).get("runId")
    return run


def run_status(port: int, run: str) -> str:
    """Return a run's status in Dagster's words; empty when it does not answer."""
    status: str = _graphql(port, _STATUS, {"run": run}).get("runOrError", {}).get("status", "")
    return status


def _graphql(port: int, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables})
    answer = _request(port, "POST", "/graphql", body)
    return (json.loads(answer).get("data") or {}) if answer is not None else {}


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
