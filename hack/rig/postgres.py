"""Real PostgreSQL servers on the loopback interface: a primary, and streaming standbys that can be promoted.

with primary() as server, server.standby() as standby:
    server.kill()
    standby.promote()
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg

from hack.rig import postgres_base as base
from hack.rig.waiting import until

HOST: Final = "127.0.0.1"
DATABASE: Final = "app"
USER: Final = "app"
PASSWORD: Final = "rig-app-password"
_REPLICATION_PASSWORD: Final = "rig-replication-password"
_USERS: Final = (
    f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'",
    f"CREATE ROLE replicator LOGIN REPLICATION PASSWORD '{_REPLICATION_PASSWORD}'",
    f"CREATE DATABASE {DATABASE} OWNER {USER}",
)
_SECONDS: Final = 30.0
#: Who may connect, unless a test says otherwise: anybody with a password, with or without TLS.
ANYBODY: Final = ("host all all all scram-sha-256",)
_SETTINGS: Final[Mapping[str, str]] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "16MB",
    "wal_level": "replica",
    "wal_keep_size": "64MB",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "100ms",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
}


@dataclass
class Postgres:
    """A server. Its application user and database are `app`, and TLS is on unless the settings say otherwise."""

    folder: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)
    hba: Sequence[str] = ANYBODY
    process: subprocess.Popen[bytes] | None = None

    host: str = HOST
    database: str = DATABASE
    user: str = USER
    password: str = field(default=PASSWORD, repr=False)

    @property
    def data(self) -> Path:
        """The folder of the cluster."""
        return self.folder / "data"

    @property
    def ca(self) -> str:
        """The certificate to verify the server with."""
        return base.authority().ca.read_text()

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self, *, wait: bool = True) -> None:
        """Start it and, unless told otherwise, wait until it takes connections."""
        assert self.process is None, "it runs already"
        self._write_files()
        # A file that a killed server left would look like that of the new one.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = base.start(base.server_program("postgres"), ["-D", self.data], log)
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it takes connections."""
        until("PostgreSQL to take connections", self._is_ready, seconds=_SECONDS, every=0.01)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT (fast) cuts clients off, SIGTERM (smart) waits for them, SIGQUIT (immediate) is a crash."""
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """Kill every process of it at once, as when a machine loses its power."""
        assert self.process is not None, "it does not run"
        for pid in (*self._children(), self.process.pid):
            _signal(pid, signal.SIGKILL)
        self.process.wait(_SECONDS)
        self.process = None

    def freeze(self) -> None:
        """Let it do nothing any more, with its connections left open, until `thaw`."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal_all(signal.SIGCONT)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def set(self, **settings: str) -> None:
        """Change settings that need no restart, and wait until a new session has them."""
        self.settings.update(settings)
        self.reload()

    def reload(self) -> None:
        """Write the settings and the lines of pg_hba.conf anew, and let the server read them."""
        self._write_files()
        before = self.sql("SELECT pg_conf_load_time()")
        self.sql("SELECT pg_reload_conf()")
        # Sessions take the postmaster's settings when they begin, so the first one that has the new time proves it.
        until("the settings to be read", lambda: self.sql("SELECT pg_conf_load_time()") != before, seconds=_SECONDS)

    def sql(self, statement: str, *, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, on a connection of its own; returns the rows, if it has any."""
        with self.connect(database=database) as connection:
            answer = connection.execute(statement.encode())
            return answer.fetchall() if answer.description else []

    def connect(self, *, database: str = DATABASE) -> psycopg.Connection[tuple[Any, ...]]:
        """A session of the superuser, by the socket."""
        return psycopg.connect(
            host=str(self.folder),
            port=self.port,
            dbname=database,
            user=base.SUPERUSER,
            autocommit=True,
            connect_timeout=10,
            application_name="rig",
        )

    @contextmanager
    def standby(self, **settings: str) -> Iterator[Postgres]:
        """A standby that follows this server; gone at the end."""
        with _folder("standby") as folder:
            follower = Postgres(folder, base.free_port(), self.settings | settings, self.hba)
            source = ["--host", self.host, "--port", str(self.port), "--username", "replicator"]
            how = ["--checkpoint=fast", "--no-sync", "--wal-method=stream", "--write-recovery-conf"]
            base.run(
                base.client_program("pg_basebackup"),
                [*source, *how, "--pgdata", follower.data],
                {"PGPASSWORD": _REPLICATION_PASSWORD, "PGSSLMODE": "prefer"},
            )
            with follower.running():
                yield follower

    def promote(self) -> None:
        """Let a standby become a primary; returns when it is one."""
        assert self.sql("SELECT pg_promote(true)") == [(True,)], self.log

    def demote(self) -> None:
        """Restart it as a standby that follows nobody."""
        self.stop()
        base.write(self.data / "standby.signal", "")
        self.start()

    def wait_replayed(self, source: Postgres) -> None:
        """Wait until it has replayed all that the source has written."""
        ((written,),) = source.sql("SELECT pg_current_wal_flush_lsn()::text")
        query = f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"
        until("the standby to catch up", lambda: self.sql(query) == [(True,)], seconds=_SECONDS, every=0.02)

    @contextmanager
    def running(self) -> Iterator[Postgres]:
        """Run it, and end it at the end whatever state it is in."""
        try:
            self.start()
            yield self
        finally:
            if self.process is not None:
                self.thaw()
            self.stop(signal.SIGQUIT)

    def _write_files(self) -> None:
        own = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "ssl": "on",
        }
        lines = [f"{name} = '{value}'" for name, value in {**_SETTINGS, **own, **self.settings}.items()]
        base.write(self.data / "postgresql.conf", "\n".join([*lines, ""]))
        always = ("local all postgres trust", "host replication replicator all scram-sha-256")
        base.write(self.data / "pg_hba.conf", "\n".join([*always, *self.hba, ""]))
        authority = base.authority()
        base.write(self.data / "server.crt", authority.certificate("server").read_text())
        base.write(self.data / "server.key", authority.key("server").read_text())

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"PostgreSQL ended: {self.log}"
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def _children(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def _signal_all(self, number: signal.Signals) -> None:
        assert self.process is not None, "it does not run"
        for pid in (self.process.pid, *self._children()):
            _signal(pid, number)


@contextmanager
def primary(
    *, hba: Sequence[str] = ANYBODY, preload: str = "", max_connections: int = 100, **settings: str
) -> Iterator[Postgres]:
    """A primary with the database and the user `app`; gone at the end. `preload` names libraries to load, such as
    pg_stat_statements."""
    with _folder("postgres") as folder:
        chosen = {"shared_preload_libraries": preload, "max_connections": str(max_connections), **settings}
        server = Postgres(folder, base.free_port(), chosen, hba)
        base.copy_cluster(server.data, _USERS)
        with server.running():
            yield server


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    folder = base.new_folder(name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
