"""A real PgBouncer on the loopback interface."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from hack.rig import postgres_base as base
from hack.rig.postgres import Postgres
from hack.rig.waiting import until

HOST: Final = "127.0.0.1"
ADMIN: Final = "sophia-admin"
ADMIN_PASSWORD: Final = "rig-admin-password"
CHECK_DATABASE: Final = "sophia-check"
CONFIG_DATABASE: Final = "sophia-config"
_SECONDS: Final = 15.0


@dataclass
class PgBouncer:
    """A running PgBouncer."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    host: str = HOST

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "log").read_text(errors="replace")

    def write(self, ini: str, userlist: str) -> None:
        """Write its configuration; RELOAD is for whoever wants it read. `{port}` and `{folder}` stand for its own."""
        text = ini.replace("{port}", str(self.port)).replace("{folder}", str(self.folder))
        base.write(self.folder / "pgbouncer.ini", text)
        base.write(self.folder / "userlist.txt", userlist)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        assert self.process is None, "it runs already"
        with (self.folder / "log").open("ab") as log:
            self.process = base.start(base.pgbouncer_program(), [self.folder / "pgbouncer.ini"], log)
        until("PgBouncer to take connections", self._is_ready, seconds=_SECONDS, every=0.01)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGTERM at once, SIGINT after running transactions, SIGKILL as when its machine fails."""
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_SECONDS)
        self.process = None

    def kill(self) -> None:
        """Kill it."""
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it do nothing any more, with its connections left open, until `thaw`."""
        assert self.process is not None, "it does not run"
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen PgBouncer go on."""
        assert self.process is not None, "it does not run"
        self.process.send_signal(signal.SIGCONT)

    def console(self, command: str) -> list[dict[str, Any]]:
        """Give a command at the admin console; returns rows by the names of columns."""
        with self.connect("pgbouncer", ADMIN, ADMIN_PASSWORD) as connection:
            answer = connection.execute(command.encode())
            names = [column.name for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in (answer.fetchall() if names else ())]

    def connect(self, database: str, user: str, password: str) -> psycopg.Connection[tuple[Any, ...]]:
        """A client connection."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            dbname=database,
            user=user,
            password=password,
            autocommit=True,
            connect_timeout=10,
            sslmode="disable",
            prepare_threshold=None,
        )

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"PgBouncer ended: {self.log}"
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0


def ini_for(server: Postgres, *, database: str = "app", config_hash: str = "hash-1", **settings: Any) -> str:
    """A configuration in front of a server, as a pool has it: its database, that for checks, and the marker."""
    connect = f"host={server.host} port={server.port} user={server.user} dbname={server.database}"
    chosen = {
        "listen_addr": HOST,
        "listen_port": "{port}",
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": "{folder}/userlist.txt",
        "admin_users": ADMIN,
        "pool_mode": "transaction",
        "default_pool_size": "5",
        "server_login_retry": "1",
        "dns_max_ttl": "1",
        "ignore_startup_parameters": "extra_float_digits,options",
        **settings,
    }
    return "\n".join(
        [
            "[databases]",
            f"{database} = {connect}",
            f"{CHECK_DATABASE} = {connect} pool_size=1",
            f"{CONFIG_DATABASE} = host=127.0.0.1 port=1 dbname='{config_hash}' pool_size=1",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in chosen.items()),
            "",
        ]
    )


def userlist_for(server: Postgres, **passwords: str) -> str:
    """A user list with the server's user, the console's, and others."""
    users: Mapping[str, str] = {server.user: server.password, ADMIN: ADMIN_PASSWORD, **passwords}
    return "".join(f'"{name}" "{password}"\n' for name, password in users.items())


@contextmanager
def pgbouncer(ini: str, userlist: str) -> Iterator[PgBouncer]:
    """Run PgBouncer with a configuration; gone at the end. In `ini`, `{port}` is the port that is chosen for it, and
    `{folder}` the folder of `userlist.txt`."""
    folder = base.new_folder("pgbouncer")
    running = PgBouncer(folder, base.free_port())
    running.write(ini, userlist)
    try:
        running.start()
        yield running
    finally:
        if running.process is not None:
            running.thaw()
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
