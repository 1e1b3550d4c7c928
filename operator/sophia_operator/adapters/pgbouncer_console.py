"""What an admin console shows, read by the names of columns: versions of PgBouncer differ in what there is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from sophia_operator.core.pool.findings import Console, InstanceRequest, ServerConnection
from sophia_operator.core.pool.names import MARKER_DATABASE

Row = Mapping[str, Any]
#: Rows of SHOW commands, by what was to be shown.
Shown = Mapping[str, Sequence[Row]]

EACH_LOOK: Final = ("VERSION", "POOLS", "SERVERS", "DATABASES")
FULL_LOOK: Final = (*EACH_LOOK, "STATS", "LISTS", "CONFIG")

_IDLE_OR_ACTIVE: Final = frozenset({"sv_idle", "sv_active"})
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)?(?: *(\S+))?")
#: For a time that cannot be read: whatever was made then is taken to be old.
_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)
_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)?")


def console_of(shown: Shown, request: InstanceRequest) -> Console:
    """What the console shows about the database that clients use."""
    pools = _of_database(shown["POOLS"], "database", request.database)
    databases = _of_database(shown["DATABASES"], "name", request.database)
    marker = _of_database(shown["DATABASES"], "name", MARKER_DATABASE)
    return Console(
        version=_version(shown["VERSION"]),
        config_hash=_text(marker[0], "database") or None if marker else None,
        clients_active=_sum(pools, "cl_active"),
        clients_waiting=_sum(pools, "cl_waiting"),
        servers_active=_sum(pools, "sv_active"),
        servers_idle=_sum(pools, "sv_idle"),
        servers_other=sum(_sum(pools, name) for name in _server_states(pools) - _IDLE_OR_ACTIVE),
        servers_logging_in=_sum(pools, "sv_login"),
        longest_wait_seconds=max(
            (_number(pool, "maxwait") + _number(pool, "maxwait_us") / 1_000_000 for pool in pools), default=0.0
        ),
        pool_size=_sum(databases, "pool_size"),
        paused=_sum(databases, "paused") > 0,
        connections=_connections(shown["SERVERS"], {request.database, request.check_database}),
        **_full(shown, request.database) if "STATS" in shown else {},
    )


def _full(shown: Shown, database: str) -> dict[str, Any]:
    stats = _of_database(shown["STATS"], "database", database)
    return {
        "transactions": _sum(stats, "total_xact_count"),
        "queries": _sum(stats, "total_query_count"),
        "clients": _sum(_of_database(shown["LISTS"], "list", "used_clients"), "items"),
        "settings": {_text(row, "key"): _text(row, "value") for row in shown["CONFIG"]},
    }


def _connections(servers: Sequence[Row], databases: set[str]) -> tuple[ServerConnection, ...]:
    return tuple(
        ServerConnection(
            database=_text(row, "database"),
            state=_text(row, "state"),
            address=_text(row, "addr"),
            connected_at=time_of(_text(row, "connect_time")),
            closing=_number(row, "close_needed") > 0,
            pid=_number(row, "remote_pid") or None,
            asked_at=time_of(_text(row, "request_time")) if row.get("request_time") else None,
        )
        for row in servers
        if row.get("database") in databases
    )


def time_of(text: str) -> datetime:
    """A time as PgBouncer shows it: that of its clock, mostly followed by the name of its zone.

    Without a zone, or with one that nobody knows, it is taken for UTC, which containers have.
    """
    match = _TIME.match(text)
    try:
        moment = datetime.fromisoformat(match[1]).replace(tzinfo=_zone(match[2])) if match is not None else None
        return moment.astimezone(UTC) if moment is not None else _LONG_AGO
    except (ValueError, OverflowError):  # no day of any calendar
        return _LONG_AGO


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return UTC
    if offset := _OFFSET.fullmatch(name):
        sign = -1 if offset[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0)))
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # not the form of a name, or not there
        return UTC


def _version(rows: Sequence[Row]) -> str:
    """`1.18.0` of `PgBouncer 1.18.0`."""
    words = _text(rows[0], "version").split() if rows else []
    return words[1] if len(words) > 1 else "unknown"


def _of_database(rows: Sequence[Row], column: str, name: str) -> Sequence[Row]:
    return [row for row in rows if row.get(column) == name]


def _server_states(pools: Sequence[Row]) -> set[str]:
    return {name for pool in pools for name in pool if name.startswith("sv_")}


def _sum(rows: Sequence[Row], column: str) -> int:
    return sum(_number(row, column) for row in rows)


def _number(row: Row, column: str) -> int:
    try:
        return int(row.get(column) or 0)
    except ValueError:
        return 0


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    return "" if value is None else str(value)
