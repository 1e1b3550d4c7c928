"""What servers of a rig start from: programs, a user, a folder, certificates, and a cluster that initdb made."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from hack.cluster import pki
from hack.rig import debian_programs
from hack.rig.debian_programs import Program

SUPERUSER: Final = "postgres"
_BIN: Final = "usr/lib/postgresql/15/bin"
#: What the programs link against and a bare machine may lack.
_LIBRARIES: Final = (
    *("libpq5", "libicu72", "libxml2", "libldap-2.5-0", "libsasl2-2", "libssl3", "libgssapi-krb5-2"),
    *("libkrb5-3", "libk5crypto3", "libkrb5support0", "libkeyutils1"),
)
#: PostgreSQL and PgBouncer refuse to run as root; this is who runs them then.
_NOBODY: Final = 65_534
_SECONDS: Final = 60
#: So small that a cluster is copied in a moment.
_WAL_SEGMENT_MB: Final = "1"


@functools.cache
def server_program(name: str) -> Program:
    """A program of PostgreSQL's server package, such as `postgres` or `initdb`."""
    return debian_programs.program("postgresql-15", f"{_BIN}/{name}", libraries=_LIBRARIES)


@functools.cache
def client_program(name: str) -> Program:
    """A program of PostgreSQL's client package, such as `pg_basebackup`."""
    return debian_programs.program("postgresql-client-15", f"{_BIN}/{name}", libraries=_LIBRARIES)


@functools.cache
def pgbouncer_program() -> Program:
    """PgBouncer."""
    libraries = ("libc-ares2", "libevent-2.1-7", "libssl3")
    return debian_programs.program("pgbouncer", "usr/sbin/pgbouncer", libraries=libraries)


def _somebody() -> dict[str, Any]:
    """How a process is started as an ordinary user."""
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def start(program: Program, arguments: Sequence[str | Path], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program as an ordinary user, with its output in `log`."""
    command = [str(program.path), *map(str, arguments)]
    environment = os.environ | program.environment
    # A group of its own: an interrupt at the terminal ends the test first, and the test ends its servers.
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, process_group=0, **_somebody()
    )


def run(
    program: Program,
    arguments: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    *,
    stdin: str = "",
) -> None:
    """Run a program as an ordinary user to its end. Raises AssertionError with its output when it fails."""
    command = [str(program.path), *map(str, arguments)]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        input=stdin,
        timeout=_SECONDS,
        cwd="/",
        env={**os.environ, **program.environment, **(environment or {})},
        **_somebody(),
    )
    assert done.returncode == 0, f"{program.path.name} failed: {done.stdout}{done.stderr}"


def new_folder(name: str) -> Path:
    """A new folder that belongs to the ordinary user. Short, since paths of sockets have to be."""
    folder = Path(tempfile.mkdtemp(prefix=f"sophia-{name}-"))
    give_away(folder)
    return folder


def give_away(path: Path) -> None:
    """Let a file or folder belong to the ordinary user, and to nobody else."""
    path.chmod(0o700 if path.is_dir() else 0o600)
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)


def write(path: Path, text: str) -> None:
    """Write a file that only the ordinary user can read."""
    path.write_text(text)
    give_away(path)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def authority() -> pki.Authority:
    """An authority with a certificate, `server`, for localhost and 127.0.0.1; gone when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="sophia-pki-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    names = ("DNS:localhost", "IP:127.0.0.1")
    return pki.create(folder, [pki.Identity("server", "localhost", alternative_names=names)])


@functools.cache
def _template(statements: tuple[str, ...]) -> Path:
    folder = new_folder("initdb")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = folder / "data"
    options = ["--no-sync", "--username", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
    run(server_program("initdb"), [*options, "--wal-segsize", _WAL_SEGMENT_MB, "-D", data])
    # Without clients: one statement a line.
    alone: list[str | Path] = ["--single", "-F", "-D", data, "postgres"]
    run(server_program("postgres"), alone, stdin="".join(f"{statement}\n" for statement in statements))
    return data


def copy_cluster(to: Path, statements: tuple[str, ...]) -> None:
    """Make `to` the folder of a new cluster on which statements were run. It is made once in a process, and copied."""
    run(Program(Path("/bin/cp"), {}), ["--archive", "--reflink=auto", _template(statements), to])
