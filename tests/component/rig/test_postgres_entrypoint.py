"""What the entry point of the test PostgreSQL's image makes: a primary, a standby, and either again after an end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hack.cluster import paths
from hack.rig import postgres_base as base
from hack.rig.debian_programs import Program
from hack.rig.waiting import until

ENTRYPOINT = paths.REPOSITORY / "hack" / "cluster" / "images" / "postgres" / "entrypoint.sh"
#: With what a shell, SQL or a connection string could stumble over.
USER, PASSWORD, DATABASE = "o'brien", 'it\'s "a" $secret\\ ', 'sh"op'
PRIMARY = {
    "ADMIN_PASSWORD": "adm'in",
    "REPLICATION_PASSWORD": "re$p",
    "POSTGRES_USER": USER,
    "POSTGRES_PASSWORD": PASSWORD,
    "POSTGRES_DB": DATABASE,
}


class Server:
    """One container's worth of it."""

    def __init__(self) -> None:
        self.folder = base.new_folder("entrypoint")
        self.port = base.free_port()

    @contextmanager
    def running(self, environment: Mapping[str, str]) -> Iterator[None]:
        """Run the entry point, and end it as a container is ended."""
        programs = [base.server_program("postgres"), base.client_program("pg_basebackup")]
        path = ":".join([*(str(program.path.parent) for program in programs), os.environ["PATH"]])
        libraries = programs[0].environment
        own = {"PATH": path, "DATA": str(self.folder), "PORT": str(self.port), **libraries, **environment}
        script = self.folder.parent / f"{self.folder.name}.sh"
        shutil.copyfile(ENTRYPOINT, script)
        script.chmod(0o755)
        with (self.folder / "log").open("ab") as log:
            process = base.start(Program(Path("/bin/sh"), own), [script], log)
        try:
            until("it to take connections", lambda: self.answers(process), seconds=60, every=0.05)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0, self.log()
            script.unlink()

    def answers(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.log()
        with suppress(psycopg.OperationalError):
            return bool(self.ask("SELECT 1"))
        return False

    def connect(self, user: str, password: str, database: str, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            dbname=database,
            connect_timeout=5,
            **options,
        )

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """As the superuser, over the network."""
        with self.connect("postgres", PRIMARY["ADMIN_PASSWORD"], "postgres", autocommit=True) as connection:
            answer = connection.execute(statement.encode())
            return answer.fetchall() if answer.description else []

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    both = Server(), Server()
    yield both
    for server in both:
        shutil.rmtree(server.folder, ignore_errors=True)


def test_primary_its_standby_and_a_change_of_roles(servers: tuple[Server, Server]) -> None:
    first, second = servers
    replica = {"ROLE": "standby", "PRIMARY_HOST": "127.0.0.1", "PRIMARY_PORT": str(first.port)}
    with first.running({**PRIMARY, "MAX_CONNECTIONS": "33"}):
        with first.connect(USER, PASSWORD, DATABASE) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS x")
            connection.execute("SELECT count(*) FROM pg_stat_statements")
            row = connection.execute("SELECT current_user, pg_has_role('pg_monitor', 'usage')").fetchone()
            assert row == (USER, True)
        assert first.ask("SHOW max_connections") == [("33",)]
        with second.running(
            {**replica, "REPLICATION_PASSWORD": PRIMARY["REPLICATION_PASSWORD"], "MAX_CONNECTIONS": "33"}
        ):
            assert second.ask("SELECT pg_is_in_recovery()") == [(True,)]
            until(
                "the standby to stream",
                lambda: first.ask("SELECT state FROM pg_stat_replication") == [("streaming",)],
                seconds=20,
            )
            assert second.ask("SELECT pg_promote(true, 20)") == [(True,)]
            with second.connect(USER, PASSWORD, DATABASE) as connection:
                assert connection.execute("INSERT INTO kept VALUES (8) RETURNING x").fetchone() == (8,)
    # A container that starts again keeps its data, and is what its data says: here, a standby.
    (first.folder / "db" / "standby.signal").touch()
    base.give_away(first.folder / "db" / "standby.signal")
    with first.running({"MAX_CONNECTIONS": "33"}):
        assert first.ask("SELECT pg_is_in_recovery()") == [(True,)]
        with first.connect(USER, PASSWORD, DATABASE) as connection:
            assert connection.execute("SELECT x FROM kept").fetchall() == [(7,)]


def test_server_that_takes_nobody_without_tls_and_has_no_statistics(servers: tuple[Server, Server]) -> None:
    server, _ = servers
    with server.running({**PRIMARY, "STATEMENTS": "0"}), server.connect(USER, PASSWORD, DATABASE) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT count(*) FROM pg_stat_statements")
        assert server.ask("SHOW shared_preload_libraries") == [("",)]
        assert (server.folder / "db" / "pg_hba.conf").read_text().splitlines()[-1].split()[0] == "host"


def test_what_is_missing_is_named() -> None:
    server = Server()
    programs = f"{base.server_program('initdb').path.parent}:{os.environ['PATH']}"
    environment = {"PATH": programs, "DATA": str(server.folder), "ADMIN_PASSWORD": "a", "REPLICATION_PASSWORD": "b"}
    try:
        for given, word in (({}, "POSTGRES_USER"), ({"ROLE": "leader"}, "primary or standby")):
            command = ["/bin/sh", str(ENTRYPOINT)]
            done = subprocess.run(
                command, env={**environment, **given}, check=False, capture_output=True, text=True, timeout=20
            )
            assert done.returncode != 0
            assert word in done.stderr
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)
