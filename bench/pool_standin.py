"""Stands in for PostgreSQL servers, PgBouncers and the kubelet where only an API server runs.

Each instance has an address of its own on loopback, where something answers that speaks the protocol and says what a
settled pool says. It asks for no password and has no TLS, so that the operator's own work is measured, and little of
the standing in.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from bench.client import Client, Json
from bench.standin import pod_name
from hack.rig.api import ApiError
from sophia_operator.core.pool import names

DATABASE: Final = "orders"
#: Others may do the same beside: each process has addresses of its own.
_NETWORK: Final = 20 + 2 * (os.getpid() % 100)
_SSL_REQUEST: Final = 80877103
_TEXT, _BOOL, _INT, _FLOAT = 25, 16, 20, 701
_STARTED: Final = "1700000000000000"
_TIME: Final = "2026-01-01 00:00:00 UTC"
_READY: Final = [
    {"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
]
#: A column's name and type, and its values.
Column = tuple[str, int, str | None]


def server_address(number: int) -> str:
    """Where the numbered server answers."""
    return f"127.{_NETWORK}.{number // 250}.{number % 250 + 1}"


def instance_address(number: int) -> str:
    """Where the numbered instance answers."""
    return f"127.{_NETWORK + 1}.{number // 250}.{number % 250 + 1}"


@dataclass
class Answers:
    """What is said, and how often it was asked for."""

    #: The configuration that an instance has loaded, by its address.
    markers: dict[str, str] = field(default_factory=dict)
    logins: int = 0
    queries: int = 0
    #: Connections that stand.
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    def rows(self, address: str, query: str) -> Sequence[Sequence[Column]]:
        """The rows that answer the query at that address."""
        self.queries += 1
        what = query.removeprefix("SHOW ") if query.startswith("SHOW ") else ""
        match what:
            case "VERSION":
                return [[("version", _TEXT, "PgBouncer 1.22.0")]]
            case "POOLS":
                return [_texts(database=DATABASE, user="app", cl_active=3, cl_waiting=0, sv_active=1, sv_idle=4)]
            case "SERVERS":
                link = {"state": "idle", "addr": server_address(0), "connect_time": _TIME, "close_needed": 0}
                return [_texts(database=DATABASE, **link) for _ in range(5)]
            case "DATABASES":
                marker = self.markers.get(address, "")
                return [
                    _texts(name=DATABASE, database=DATABASE, pool_size=10, paused=0),
                    _texts(name=names.CHECK_DATABASE, database=DATABASE, pool_size=1, paused=0),
                    _texts(name=names.MARKER_DATABASE, database=marker, pool_size=1, paused=0),
                ]
            case "STATS":
                return [_texts(database=DATABASE, total_xact_count=1000, total_query_count=1000)]
            case "LISTS":
                return [_texts(list="used_clients", items=3)]
            case "CONFIG":
                return [_texts(key=f"setting_{number}", value="1") for number in range(80)]
        if "pg_blocking_pids" in query:
            return []  # nothing runs for long
        if "pg_stat_activity" in query:
            return [[("a", _TEXT, "app"), ("b", _TEXT, DATABASE), ("c", _TEXT, None), ("d", _TEXT, ""), ("e", 20, "5")]]
        if "max_connections" in query:
            return [[("a", _TEXT, "15.5"), ("b", _INT, "1000"), ("c", _INT, "3"), ("d", _FLOAT, None)]]
        if "pg_postmaster_start_time" in query:
            server = server_address(0)
            return [[("a", _BOOL, "f"), ("b", _BOOL, "f"), ("c", _INT, _STARTED), ("d", _TEXT, server)]]
        return []


def _texts(**values: object) -> list[Column]:
    return [(name, _TEXT, str(value)) for name, value in values.items()]


@asynccontextmanager
async def listening(addresses: Sequence[str], answers: Answers) -> AsyncIterator[None]:
    """Answer at all of the addresses, at the port of pools and servers. Raises OSError when one is taken."""
    async with AsyncExitStack() as stack:
        for address in addresses:
            server = await asyncio.start_server(_Session(address, answers).run, address, names.PORT)
            stack.callback(server.close)
        try:
            yield
        finally:
            for writer in answers.open:
                writer.close()
            while answers.open:  # noqa: ASYNC110 - they end within moments
                await asyncio.sleep(0.01)


@dataclass
class _Session:
    """What happens on the connections to one address."""

    address: str
    answers: Answers

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak until the other side ends it."""
        self.answers.open.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._log_in(reader, writer)
                while True:
                    kind, size = struct.unpack("!cI", await reader.readexactly(5))
                    body = await reader.readexactly(size - 4)
                    if kind == b"X":
                        return
                    writer.write(_answer(self.answers.rows(self.address, body.rstrip(b"\0").decode())))
        finally:
            self.answers.open.discard(writer)
            writer.close()

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            size, code = struct.unpack("!II", await reader.readexactly(8))
            await reader.readexactly(size - 8)
            if code != _SSL_REQUEST:
                break
            writer.write(b"N")
        self.answers.logins += 1
        parameters = {"server_version": "15.5", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
        writer.write(_message(b"R", struct.pack("!I", 0)))
        for name, value in parameters.items():
            writer.write(_message(b"S", f"{name}\0{value}\0".encode()))
        writer.write(_message(b"Z", b"I"))


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _answer(rows: Sequence[Sequence[Column]]) -> bytes:
    columns = rows[0] if rows else [("nothing", _TEXT, None)]
    described = b"".join(
        name.encode() + b"\0" + struct.pack("!IhIhih", 0, 0, kind, -1, -1, 0) for name, kind, _ in columns
    )
    out = [_message(b"T", struct.pack("!h", len(columns)) + described)]
    for row in rows:
        values = [None if value is None else value.encode() for _, _, value in row]
        cells = b"".join(struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
        out.append(_message(b"D", struct.pack("!h", len(row)) + cells))
    done = [_message(b"C", f"SELECT {len(rows)}\0".encode()), _message(b"Z", b"I")]
    return b"".join(out + done)


class Kubelet:
    """Makes the pods of pools' Deployments, each at an address of its own, with the configuration that is wanted."""

    def __init__(self, client: Client, answers: Answers) -> None:
        self._client = client
        self._answers = answers
        self._addresses: dict[tuple[str, str], list[str]] = {}
        self._failure: BaseException | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block runs. Raises what broke it."""
        tasks = [
            asyncio.create_task(self._follow("apps/v1", "Deployment", names.LABEL_POOL, self._deployment)),
            asyncio.create_task(self._follow("sophia.ai/v1alpha1", "ConnectionPool", "", self._pool)),
        ]
        try:
            yield
            self.check()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what broke it, if anything did."""
        if self._failure is not None:
            raise RuntimeError("the stand-in for the kubelet failed") from self._failure

    async def _follow(self, api_version: str, kind: str, selector: str, react: Any) -> None:
        try:
            items, version = await self._client.list(api_version, kind, selector)
            for obj in items:
                await react(obj)
            async for event in self._client.watch(api_version, kind, selector, version):
                if event["type"] != "DELETED":
                    await react(event["object"])
        except Exception as error:
            self._failure = self._failure or error
            raise

    async def _pool(self, pool: Json) -> None:
        key = (pool["metadata"]["namespace"], pool["metadata"]["name"])
        marker = str((pool.get("status") or {}).get("configHash") or "")
        for address in self._addresses.get(key, ()) if marker else ():
            self._answers.markers[address] = marker

    async def _deployment(self, deployment: Json) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        key, wanted = (meta["namespace"], meta["labels"][names.LABEL_POOL]), int(spec.get("replicas", 1))
        if key not in self._addresses:
            begin = sum(map(len, self._addresses.values()))
            self._addresses[key] = [instance_address(begin + number) for number in range(wanted)]
            for number, address in enumerate(self._addresses[key]):
                await self._start(deployment, number, address)
            status = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted)
            await self._client.merge(
                deployment, {"status": {"observedGeneration": meta["generation"], **status}}, "status"
            )
            # What the pool wanted meanwhile was told before the addresses were known.
            found = await self._client.request(
                "GET", f"/apis/sophia.ai/v1alpha1/namespaces/{key[0]}/connectionpools/{key[1]}"
            )
            await self._pool(found)

    async def _start(self, deployment: Json, number: int, address: str) -> None:
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": pod_name(meta["name"], number),
                "namespace": meta["namespace"],
                "labels": template["metadata"]["labels"],
                "annotations": template["metadata"].get("annotations") or {},
            },
            "spec": {**template["spec"], "nodeName": "bench"},
        }
        with suppress(ApiError):
            await self._client.create(pod)
        container = template["spec"]["containers"][0]
        running = {"name": container["name"], "image": container["image"], "imageID": "x", "ready": True}
        running |= {"restartCount": 0, "state": {"running": {}}}
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": _READY}
        await self._client.merge(pod, {"status": {**status, "containerStatuses": [running]}}, "status")
