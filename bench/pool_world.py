"""A real PostgreSQL and a real PgBouncer on loopback, configured as a pool's are; and what they cost in CPU."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from psycopg.conninfo import make_conninfo

from hack.rig import postgres_base as base
from hack.rig.pgbouncer import PgBouncer
from hack.rig.postgres import Postgres, primary
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.core.pool.ini import files
from sophia_operator.core.pool.names import PORT
from sophia_operator.core.pool.settings import CERTIFICATE, KEY
from sophia_operator.core.pool.views import Access, PoolView

_USER: Final = "orders"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class World:
    """The two ways to the same database, both with TLS and SCRAM."""

    direct: str
    pooled: str
    server: Postgres
    pooler: PgBouncer

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU that each has used up to now."""
        assert self.server.process is not None
        assert self.pooler.process is not None
        return {"postgres": _family(self.server.process.pid), "pgbouncer": _family(self.pooler.process.pid)}


@contextmanager
def running(clients: int, size: int) -> Iterator[World]:
    """Both, for so many clients, with so many server connections in the pool."""
    with primary(max_connections=clients + size + 20) as server:
        pool, access = _pool(server, size)
        folder = base.new_folder("bench-pool")
        pooler = PgBouncer(folder, base.free_port())
        rendered = files(pool, access, "bench", folder=str(folder))
        # Nothing is changed but the port, since others may listen on the pool's.
        usual, own = f"listen_port = {PORT}\n", f"listen_port = {pooler.port}\n"
        assert any(usual in text for text in rendered.values()), "the configuration names its port in another way"
        for name, text in rendered.items():
            base.write(folder / name, text.replace(usual, own))
        authority = base.authority()
        base.write(folder / CERTIFICATE, authority.certificate("server").read_text())
        base.write(folder / KEY, authority.key("server").read_text())
        try:
            pooler.start()
            verified = {"sslmode": "verify-full", "sslrootcert": str(_readable_ca(folder)), "host": "localhost"}
            at = {"hostaddr": server.host, "dbname": server.database, **verified}
            yield World(
                direct=make_conninfo("", port=server.port, user=server.user, password=server.password, **at),
                pooled=make_conninfo("", port=pooler.port, user=_USER, password=access.client_password, **at),
                server=server,
                pooler=pooler,
            )
        finally:
            pooler.stop()
            shutil.rmtree(folder, ignore_errors=True)


def _pool(server: Postgres, size: int) -> tuple[PoolView, Access]:
    spec = ConnectionPoolSpec.model_validate(
        {
            "database": {
                "host": server.host,
                "port": server.port,
                "name": server.database,
                "sslMode": "Require",
                "credentialsSecretRef": {"name": "credentials"},
            },
            "instances": 1,
            "size": {"min": size, "max": size},
            "tls": {"secretName": "certificate"},
        }
    )
    now, status = datetime.now(UTC), ConnectionPoolStatus(size=size)
    view = PoolView("bench", "orders", "bench", 1, "1", now, spec, status)
    access = Access(server.user, server.password, _USER, secrets.token_urlsafe(24), secrets.token_urlsafe(24))
    return view, access


def _readable_ca(folder: Path) -> Path:
    path = folder / "ca.crt"
    path.write_text(base.authority().ca.read_text())
    return path


def _family(pid: int) -> float:
    """CPU seconds of a process, of its children that ended, and of those that run."""
    children: list[int] = []
    with suppress(OSError):
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return _own(pid, ended=True) + sum(_own(child, ended=False) for child in children)


def _own(pid: int, *, ended: bool) -> float:
    try:
        # The name, in brackets, may hold spaces; what follows does not.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11 : 15 if ended else 13]) / _TICKS
