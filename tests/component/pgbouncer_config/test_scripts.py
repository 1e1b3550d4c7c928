"""The scripts that run in a pod: which configuration PgBouncer starts with, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from hack.rig import postgres_base as base
from hack.rig.postgres import Postgres
from hack.rig.waiting import until
from sophia_operator.core.pool.scripts import drain_script, start_script
from tests.component.pgbouncer_config.instance import running

_SECONDS = 30


def stub(folder: Path, version: str) -> dict[str, str]:
    """An environment in which `pgbouncer` says that version, and which file it was started with."""
    program = folder / "pgbouncer"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}\nlibevent 2.1" || echo "started $1"\n')
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("version", "chosen"),
    [
        ("PgBouncer 1.18.0", "pgbouncer.ini"),
        ("PgBouncer 1.20.1", "from-1.20.ini"),
        ("PgBouncer 1.21.0", "from-1.21.ini"),
        ("PgBouncer 1.23.1", "from-1.21.ini"),
        ("PgBouncer 1.24rc1", "from-1.24.ini"),
        ("PgBouncer 1.100.0", "from-1.24.ini"),
        ("PgBouncer 2.0.0", "from-1.24.ini"),
        ("something else", "pgbouncer.ini"),
        ("", "pgbouncer.ini"),
    ],
)
def test_pgbouncer_starts_with_the_newest_configuration_that_it_understands(
    version: str, chosen: str, tmp_path: Path
) -> None:
    for name in ("pgbouncer.ini", "from-1.20.ini", "from-1.21.ini", "from-1.24.ini"):
        (tmp_path / name).touch()
    (tmp_path / "start.sh").write_text(start_script())
    done = subprocess.run(
        ["sh", tmp_path / "start.sh"], env=stub(tmp_path, version), check=True, capture_output=True, timeout=_SECONDS
    )
    assert done.stdout.decode().strip() == f"started {tmp_path}/{chosen}"


class Process:
    """Stands for PgBouncer: notes its signals, and ends at SIGINT or, if told so, at SIGTERM."""

    def __init__(self, folder: Path, *, ends_at_term: bool) -> None:
        self.notes = folder / "signals"
        note = f">>{self.notes} echo"
        traps = f"trap '{note} INT; exit 0' INT; trap '{note} USR1' USR1; "
        traps += f"trap '{note} TERM{'; exit 0' if ends_at_term else ''}' TERM; "
        # An ended child stays a process until it is waited for, which nobody does in a container.
        self.child = subprocess.Popen(["sh", "-c", f"{traps} {note} ready; while :; do sleep 0.05; done"])
        threading.Thread(target=self.child.wait, daemon=True).start()
        until("the process to be ready", lambda: self.signals() == [], seconds=_SECONDS, every=0.02)

    def signals(self) -> list[str] | None:
        noted = self.notes.read_text().split() if self.notes.exists() else []
        return noted[1:] if noted else None


@contextmanager
def process(folder: Path, *, ends_at_term: bool = False) -> Iterator[Process]:
    made = Process(folder, ends_at_term=ends_at_term)
    try:
        yield made
    finally:
        made.child.kill()


@contextmanager
def connected() -> Iterator[int]:
    """An open connection to a server; yields the server's port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            yield port


def drain(folder: Path, version: str, pid: int, *, port: int = 1, leave: int = 1, finish: int = 5) -> float:
    """Run the script; returns how many seconds it took."""
    script = folder / "drain.sh"
    script.write_text(drain_script(port))
    began = time.monotonic()
    arguments = [str(n) for n in (pid, 0, leave, finish)]
    subprocess.run(["sh", script, *arguments], env=stub(folder, version), check=True, timeout=_SECONDS)
    return time.monotonic() - began


@pytest.mark.parametrize("version", ["PgBouncer 1.18.0", "PgBouncer 1.22.1"])
def test_an_older_one_is_told_to_finish_and_waited_for(version: str, tmp_path: Path) -> None:
    with process(tmp_path) as stand_in:
        assert drain(tmp_path, version, stand_in.child.pid, finish=20) < 15
        assert stand_in.signals() == ["INT"]


@pytest.mark.parametrize("version", ["PgBouncer 1.23.0", "PgBouncer 1.24.1", "PgBouncer 2.0.0"])
def test_a_newer_one_waits_for_its_clients_and_ends_when_they_left(version: str, tmp_path: Path) -> None:
    with process(tmp_path, ends_at_term=True) as stand_in:
        assert drain(tmp_path, version, stand_in.child.pid, leave=20, finish=20) < 15
        assert stand_in.signals() == ["TERM"]


def test_a_newer_one_whose_clients_stay_is_paused_until_no_transaction_is_in_flight(tmp_path: Path) -> None:
    with process(tmp_path) as stand_in:
        assert drain(tmp_path, "PgBouncer 1.24.1", stand_in.child.pid, finish=20) < 15
        assert stand_in.signals() == ["TERM", "USR1"], "a second signal to end would cut transactions off"


def test_a_transaction_in_flight_is_waited_for(tmp_path: Path) -> None:
    with process(tmp_path) as stand_in, connected() as port:
        assert drain(tmp_path, "PgBouncer 1.24.1", stand_in.child.pid, port=port, finish=4) >= 4


def test_transactions_finish_while_a_real_one_is_drained(server: Postgres) -> None:
    with running(server) as instance:
        login = (instance.access.client_username, instance.access.client_password)
        with instance.connect(*login) as idle, instance.connect(*login) as busy:
            idle.execute("SELECT 1")
            busy.execute("BEGIN")
            process = instance.pgbouncer.process
            assert process is not None
            arguments: list[str | Path] = [instance.folder / "drain.sh", str(process.pid), "0", "1", "20"]
            path = f"{base.pgbouncer_program().path.parent}{os.pathsep}{os.environ['PATH']}"
            environment = {**os.environ, **base.pgbouncer_program().environment, "PATH": path}
            with subprocess.Popen(["sh", *arguments], env=environment) as script:
                until("SIGINT", lambda: "got SIGINT" in instance.pgbouncer.log, seconds=_SECONDS, every=0.02)
                assert busy.execute("SELECT 2").fetchone() == (2,), "what runs is served"
                busy.execute("COMMIT")
                assert process.wait(_SECONDS) in (0, 1, -signal.SIGINT)
                assert script.wait(_SECONDS) == 0
            with pytest.raises(psycopg.OperationalError):
                idle.execute("SELECT 3")
