"""An instance of a pool without a cluster: a real PgBouncer, started as in a pod on the files that are rendered."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from hack.rig import pgbouncer as rig
from hack.rig import postgres_base as base
from hack.rig.debian_programs import Program
from hack.rig.postgres import Postgres
from hack.rig.waiting import until
from sophia_operator.core.pool import ini, names
from sophia_operator.core.pool.views import Access, PoolView
from tests.golden import pool_cases


def access_to(server: Postgres, **changes: str) -> Access:
    """What a pool in front of the server logs in with."""
    given = {"username": server.user, "password": server.password, "ca": server.ca} | changes
    made: dict[str, Any] = {"client_username": "orders", "client_password": "rig", "admin_password": rig.ADMIN_PASSWORD}
    return Access(**(made | given))


def pool_of(server: Postgres, connections: int = 20, **spec: Any) -> PoolView:
    """A pool in front of the server. `database` adds to what the server is."""
    database = {"host": server.host, "port": server.port, "name": server.database}
    database |= {"credentialsSecretRef": {"name": "orders-db"}} | spec.pop("database", {})
    raw = {"name": "orders", "spec": {"database": database} | spec, "status": {"size": connections}}
    return pool_cases.parse({"pool": raw}).pool


@dataclass
class Instance:
    """A running PgBouncer, and what it was last given."""

    server: Postgres
    pgbouncer: rig.PgBouncer
    pool: PoolView
    access: Access

    @property
    def folder(self) -> Path:
        return self.pgbouncer.folder

    def write(self, pool: PoolView, access: Access, marker: str = "v1") -> None:
        """Render the files, and write them where it reads them."""
        self.pool, self.access = pool, access
        for name, text in ini.files(pool, access, marker, folder=str(self.folder)).items():
            own = text.replace(f"listen_port = {names.PORT}\n", f"listen_port = {self.pgbouncer.port}\n")
            base.write(self.folder / name, own)

    def console(self, command: str) -> list[dict[str, Any]]:
        return self.pgbouncer.console(command)

    def databases(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in self.console("SHOW DATABASES")}

    def connect(self, user: str, password: str, database: str | None = None) -> psycopg.Connection[tuple[Any, ...]]:
        return self.pgbouncer.connect(database or self.server.database, user, password)

    def query(self, statement: str, user: str | None = None, password: str | None = None) -> Any:
        """The one value that a query of a client gives; as the user of applications, unless told otherwise."""
        login = (user or self.access.client_username, password or self.access.client_password)
        with self.connect(*login) as connection:
            row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0]

    def start(self) -> None:
        """Start it as the container does."""
        program = base.pgbouncer_program()
        path = f"{program.path.parent}{os.pathsep}{os.environ['PATH']}"
        shell = Program(Path("/bin/sh"), {**program.environment, "PATH": path})
        with (self.folder / "log").open("ab") as log:
            self.pgbouncer.process = base.start(shell, [self.folder / "start.sh"], log)
        until("PgBouncer to take connections", self._is_ready, seconds=15, every=0.02)

    def _is_ready(self) -> bool:
        assert self.pgbouncer.process is not None
        assert self.pgbouncer.process.poll() is None, self.pgbouncer.log
        with socket.socket() as probe:
            return probe.connect_ex((self.pgbouncer.host, self.pgbouncer.port)) == 0


@contextmanager
def running(
    server: Postgres,
    access: Access | None = None,
    *,
    files: Mapping[str, str] | None = None,
    connections: int = 20,
    marker: str = "v1",
    **spec: Any,
) -> Iterator[Instance]:
    """Run an instance of a pool in front of the server; gone at the end. `files` are further ones that it finds, in
    which `{folder}` stands for where they are."""
    folder = base.new_folder("pool")
    pgbouncer = rig.PgBouncer(folder, base.free_port())
    instance = Instance(server, pgbouncer, pool_of(server, connections, **spec), access or access_to(server))
    try:
        instance.write(instance.pool, instance.access, marker)
        for name, text in (files or {}).items():
            base.write(folder / name, text.replace("{folder}", str(folder)))
        instance.start()
        yield instance
    finally:
        pgbouncer.stop()
        shutil.rmtree(folder, ignore_errors=True)


def create_role(server: Postgres, user: str, password: str) -> None:
    """Make a user that may log in."""
    with server.connect() as connection:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(user), sql.Literal(password))
        connection.execute(create)


def set_password(server: Postgres, user: str, password: str) -> None:
    """Give a user another password."""
    with server.connect() as connection:
        alter = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(password))
        connection.execute(alter)
