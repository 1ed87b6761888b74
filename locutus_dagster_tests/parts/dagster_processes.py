"""A real Dagster for tests: webserver and daemon as processes of their own, spoken to in GraphQL.

with daemon(env, folder), webserver(env, folder) as dagster:
    backfill = dagster.launch_backfill(partition_keys, asset_keys)
    dagster.wait_for_backfill(backfill)
    dagster.partition_statuses("default/delivered_object").failed

`env` names the instance (`DAGSTER_HOME`) and whatever the code location wants; logs go to `folder`.
The queries are those that Dagster's own pages send, so that a test sees what an operator sees.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from locutus_dagster_tests.parts import ServerProcess, free_port, wait_until

__all__ = [
    "CheckExecution",
    "DagsterClient",
    "DagsterProcess",
    "GraphQLError",
    "PartitionStatuses",
    "Run",
    "Webserver",
    "daemon",
    "program",
    "webserver",
]

MODULE = "locutus_dagster.definitions"
# Dagster's daemon looks for backfills every 30 seconds and cannot be told otherwise; a test would
# spend its time on that. Everything else is `dagster-daemon` as it is.
_QUICK_DAEMON = """
import sys
from dagster._daemon import controller
controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 1
from dagster._daemon.cli import main
sys.argv[0] = "dagster-daemon"
main()
"""
_ENDED = ("COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED")


def program(name: str) -> str:
    """A program that is installed beside the interpreter that runs the tests."""
    return str(Path(sys.executable).parent / name)


class GraphQLError(Exception):
    """The webserver refused a query, or answered it with an error."""


class DagsterProcess(ServerProcess):
    """A child that leads a process group; whoever is left of the group ends with it.

    The webserver and the daemon start a code server, which starts run workers. They outlive a
    parent that was asked to end, so the group is killed while its leader has not been reaped: until
    then its number cannot have become anybody else's.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        work = log.parent / f"{log.stem}-cwd"
        work.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=work,
                start_new_session=True,
            )
        super().__init__(process)

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 8.0) -> None:
        """Ask it to end; after `seconds`, or once it has ended, kill what is left of its group."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, how)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._has_ended():
            time.sleep(0.02)
        self.kill()

    def kill(self) -> None:
        """End it and its children at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        super().kill()
        self._process.wait()

    def _has_ended(self) -> bool:
        """Whether it is dead or a zombie; unlike `running`, this leaves the zombie be."""
        try:
            how = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.pid, how) is not None
        except ChildProcessError:
            return True


@dataclass(frozen=True)
class PartitionStatuses:
    """Partition keys by what the asset's page says of them."""

    materialized: frozenset[str]
    failed: frozenset[str]
    missing: frozenset[str]
    materializing: frozenset[str]


@dataclass(frozen=True)
class Run:
    """A run as the page of runs lists it."""

    run_id: str
    status: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class CheckExecution:
    """One evaluation of an asset check for one partition."""

    partition: str
    status: str
    metadata: Mapping[str, Any]


_STATUSES = """
query PartitionHealthQuery($assetKey: AssetKeyInput!) {
  assetNodeOrError(assetKey: $assetKey) {
    __typename
    ... on AssetNode {
      assetPartitionStatuses {
        __typename
        ... on DefaultPartitionStatuses {
          materializedPartitions
          failedPartitions
          unmaterializedPartitions
          materializingPartitions
        }
      }
    }
  }
}
"""
_LAUNCH = """
mutation LaunchPartitionBackfill($backfillParams: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfillParams) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_BACKFILL = """
query BackfillStatus($backfillId: String!) {
  partitionBackfillOrError(backfillId: $backfillId) {
    __typename
    ... on PartitionBackfill { status }
    ... on PythonError { message }
  }
}
"""
_BACKFILLS = """
query Backfills {
  partitionBackfillsOrError(limit: 50) {
    __typename
    ... on PartitionBackfills { results { id } }
  }
}
"""
_RUNS = """
query Runs($filter: RunsFilter!) {
  runsOrError(filter: $filter) {
    __typename
    ... on Runs { results { runId status tags { key value } } }
  }
}
"""
_METADATA = """
metadataEntries {
  __typename
  label
  ... on IntMetadataEntry { intValue }
  ... on FloatMetadataEntry { floatValue }
  ... on TextMetadataEntry { text }
  ... on UrlMetadataEntry { url }
}
"""
_CHECKS = f"""
query CheckExecutions($assetKey: AssetKeyInput!, $checkName: String!, $limit: Int!) {{
  assetCheckExecutions(assetKey: $assetKey, checkName: $checkName, limit: $limit) {{
    partition
    status
    evaluation {{ {_METADATA} }}
  }}
}}
"""
_MATERIALIZATIONS = f"""
query Materializations($assetKey: AssetKeyInput!, $partitions: [String!]) {{
  assetNodeOrError(assetKey: $assetKey) {{
    __typename
    ... on AssetNode {{
      assetMaterializations(partitions: $partitions, limit: 1) {{ partition {_METADATA} }}
    }}
  }}
}}
"""
_DAEMONS = """
query Daemons { instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }
"""
_VALUES = ("intValue", "floatValue", "text", "url")


class DagsterClient:
    """Asks a webserver what its pages ask it. Asset keys are written `workspace/name`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=60)

    def close(self) -> None:
        self._http.close()

    def answers(self) -> bool:
        """Whether the webserver is up."""
        try:
            return self._http.get("/server_info").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a query; returns its data.

        Raises:
            GraphQLError: it was answered with errors.
        """
        body = {"query": query, "variables": dict(variables or {})}
        answer = self._http.post("/graphql", json=body).json()
        if answer.get("errors"):
            raise GraphQLError(str(answer["errors"]))
        return dict(answer["data"])

    def wait_for_daemon(self, seconds: float = 60) -> None:
        """Wait until every daemon that this instance needs has reported itself healthy."""

        def healthy() -> bool:
            health = self.graphql(_DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
            return all(one["healthy"] for one in health if one["required"])

        wait_until(_slowly(healthy), seconds, "The daemon's heartbeat")

    def launch_backfill(self, partition_keys: Sequence[str], asset_keys: Sequence[str]) -> str:
        """Launch a backfill as the dialog of the asset graph does; returns its id."""
        params = {
            "partitionNames": list(partition_keys),
            "assetSelection": [_key(key) for key in asset_keys],
        }
        answer = self.graphql(_LAUNCH, {"backfillParams": params})["launchPartitionBackfill"]
        if "backfillId" not in answer:
            raise GraphQLError(f"{answer['__typename']}: {answer.get('message', '')}")
        return str(answer["backfillId"])

    def backfill_status(self, backfill_id: str) -> str:
        """The backfill's status, for instance COMPLETED_FAILED."""
        answer = self.graphql(_BACKFILL, {"backfillId": backfill_id})["partitionBackfillOrError"]
        if "status" not in answer:
            raise GraphQLError(f"{answer['__typename']}: {answer.get('message', '')}")
        return str(answer["status"])

    def backfills(self) -> list[str]:
        """The ids of the backfills that have been launched, latest first."""
        found = self.graphql(_BACKFILLS)["partitionBackfillsOrError"]["results"]
        return [str(backfill["id"]) for backfill in found]

    def wait_for_backfill(self, backfill_id: str, seconds: float = 180) -> str:
        """Wait until the backfill has ended; returns how."""
        seen = ""

        def ended() -> bool:
            nonlocal seen
            seen = self.backfill_status(backfill_id)
            return seen in _ENDED

        wait_until(_slowly(ended), seconds, "The backfill's end")
        return seen

    def runs(self, **tags: str) -> list[Run]:
        """The runs with these tags; `dagster__backfill` stands for the tag `dagster/backfill`."""
        wanted = [{"key": name.replace("__", "/"), "value": value} for name, value in tags.items()]
        found = self.graphql(_RUNS, {"filter": {"tags": wanted}})["runsOrError"]["results"]
        return [
            Run(run["runId"], run["status"], {tag["key"]: tag["value"] for tag in run["tags"]})
            for run in found
        ]

    def partition_statuses(self, asset_key: str) -> PartitionStatuses:
        """What the asset's page says of each partition."""
        node = self.graphql(_STATUSES, {"assetKey": _key(asset_key)})["assetNodeOrError"]
        found = node["assetPartitionStatuses"]
        return PartitionStatuses(
            materialized=frozenset(found["materializedPartitions"]),
            failed=frozenset(found["failedPartitions"]),
            missing=frozenset(found["unmaterializedPartitions"]),
            materializing=frozenset(found["materializingPartitions"]),
        )

    def check_executions(
        self, asset_key: str, check: str, limit: int = 200
    ) -> list[CheckExecution]:
        """The evaluations of an asset check, latest first."""
        variables = {"assetKey": _key(asset_key), "checkName": check, "limit": limit}
        return [
            CheckExecution(
                execution["partition"],
                execution["status"],
                _metadata((execution["evaluation"] or {}).get("metadataEntries", [])),
            )
            for execution in self.graphql(_CHECKS, variables)["assetCheckExecutions"]
        ]

    def materialization_metadata(self, asset_key: str, partition_key: str) -> dict[str, Any]:
        """The metadata of a partition's latest materialization.

        Raises:
            LookupError: there is none.
        """
        variables = {"assetKey": _key(asset_key), "partitions": [partition_key]}
        node = self.graphql(_MATERIALIZATIONS, variables)["assetNodeOrError"]
        for materialization in node["assetMaterializations"]:
            return _metadata(materialization["metadataEntries"])
        raise LookupError(f"{asset_key} has no materialization of {partition_key}")


class Webserver(DagsterClient):
    """A running webserver, and the client that talks to it."""

    def __init__(self, url: str, process: DagsterProcess) -> None:
        super().__init__(url)
        self.process = process

    @property
    def log(self) -> Path:
        return self.process.log


@contextlib.contextmanager
def webserver(env: Mapping[str, str], folder: Path) -> Iterator[Webserver]:
    """Run `dagster-webserver` on a free loopback port for as long as the block lasts."""
    port = free_port()
    command = [program("dagster-webserver"), "-h", "127.0.0.1", "-p", str(port), "-m", MODULE]
    process = DagsterProcess(command, env, folder / "webserver.log")
    server = Webserver(f"http://127.0.0.1:{port}", process)
    try:
        wait_until(
            _slowly(lambda: not process.running or server.answers()), 120, "The webserver's start"
        )
        if not process.running:
            raise RuntimeError(f"The webserver ended at once; its log is {process.log}")
        yield server
    finally:
        server.close()
        process.stop()


@contextlib.contextmanager
def daemon(env: Mapping[str, str], folder: Path) -> Iterator[DagsterProcess]:
    """Run `dagster-daemon run` for as long as the block lasts."""
    command = [sys.executable, "-c", _QUICK_DAEMON, "run", "-m", MODULE]
    process = DagsterProcess(command, env, folder / "daemon.log")
    try:
        yield process
    finally:
        process.stop()


def _key(asset_key: str) -> dict[str, list[str]]:
    return {"path": asset_key.split("/")}


def _metadata(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        entry["label"]: next((entry[value] for value in _VALUES if value in entry), None)
        for entry in entries
    }


def _slowly(ready: Callable[[], bool]) -> Callable[[], bool]:
    """Leave the processor to the servers between two looks."""

    def look() -> bool:
        if ready():
            return True
        time.sleep(0.2)
        return False

    return look
