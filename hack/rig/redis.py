"""Real Redis and Valkey servers on the loopback interface: primaries, and replicas of them.

with server(Flavor.REDIS) as primary, replica_of(primary) as replica:
    primary.suspend()
    replica.call("REPLICAOF", "NO", "ONE")
"""

from __future__ import annotations

import atexit
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from hack.rig import postgres_base as base
from hack.rig import redis_base
from hack.rig.debian_programs import Program
from hack.rig.redis_base import ADMIN, ADMIN_PASSWORD, REPLICATOR, REPLICATOR_PASSWORD, USERS, Flavor
from hack.rig.waiting import until

HOST: Final = "127.0.0.1"
_SECONDS: Final = 30.0
#: What every server has, unless a test says otherwise: nothing on disk, and replicas that follow at once.
_SETTINGS: Final = {
    "save": '""',
    "appendonly": "no",
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
    "enable-debug-command": "yes",
    "daemonize": "no",
    "masteruser": REPLICATOR,
    "masterauth": REPLICATOR_PASSWORD,
}


@dataclass
class RedisServer:
    """A server. Its administrator is `ADMIN`, unless `users` (lines of an ACL file) say otherwise."""

    flavor: Flavor
    folder: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)
    users: Sequence[str] = USERS
    #: Whether it speaks TLS, and nothing else, to clients and among servers.
    tls: bool = False
    process: subprocess.Popen[bytes] | None = None
    host: str = HOST

    @property
    def data(self) -> Path:
        """The folder of what it keeps on disk."""
        return self.folder / "data"

    @property
    def users_file(self) -> Path:
        """Its ACL file; `ACL LOAD` reads it again."""
        return self.folder / "users.acl"

    @property
    def ca(self) -> str:
        """The certificate to verify it with. Its own is valid for localhost and 127.0.0.1."""
        return base.authority().ca.read_text()

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "log").read_text(errors="replace")

    def write_users(self, users: Sequence[str]) -> None:
        """Write its ACL file; `ACL LOAD` is for whoever wants it read."""
        self.users = users
        base.write(self.users_file, "".join(f"{user}\n" for user in users))

    def start(self, *, wait: bool = True) -> None:
        """Start it, with what it has on disk, and, unless told otherwise, wait until it answers."""
        assert self.process is None, "it runs already"
        self._write_files()
        with (self.folder / "log").open("ab") as log:
            self.process = base.start(self._program(), [self.folder / "server.conf"], log)
        _running[id(self)] = self
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it answers, having read its data from disk."""
        until(f"{self.flavor} to answer", self._is_ready, seconds=_SECONDS, every=0.01)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGTERM as Kubernetes does, SIGKILL as when its machine fails. A suspended one ends as well."""
        if self.process is None:
            return
        self.process.send_signal(how)
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_SECONDS)
        self.process = None
        _running.pop(id(self), None)

    def kill(self) -> None:
        """Kill it: nothing is saved, and its port is closed at once."""
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        """End it and start it anew: another run, and only what is on disk is there."""
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Let it do nothing any more, with its connections left open, until `resume`: so looks a machine that hangs,
        or a network that is cut."""
        assert self.process is not None, "it does not run"
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended server go on where it was, believing what it believed."""
        assert self.process is not None, "it does not run"
        self.process.send_signal(signal.SIGCONT)

    def client(
        self, username: str = ADMIN, password: str = ADMIN_PASSWORD, *, timeout: float = 10.0, **options: Any
    ) -> redis.Redis:
        """A client. Answers are bytes; `decode_responses=True` makes them text."""
        tls = {"ssl": True, "ssl_ca_data": self.ca} if self.tls else {}
        return redis.Redis(
            self.host,
            self.port,
            username=username,
            password=password,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            **{**tls, **options},
        )

    def call(self, *words: str | bytes | int) -> Any:
        """Give a command as the administrator; answers, and errors, are as the client library has them."""
        with self.client() as client:
            return client.execute_command(*words)

    def info(self, section: str = "everything") -> dict[str, Any]:
        """INFO, parsed."""
        with self.client() as client:
            found: dict[str, Any] = client.info(section)
            return found

    def follow(self, other: RedisServer) -> None:
        """Make it a replica of another one."""
        self.call("REPLICAOF", other.host, other.port)

    def wait_in_sync(self) -> None:
        """Wait until it, a replica, has all of its primary and goes on following."""
        until("the replica to be in sync", self._is_in_sync, seconds=_SECONDS, every=0.01)

    def wait_for(self, replica: RedisServer) -> None:
        """Wait until it, a primary, knows that the replica is in sync: only then can it hand over to it."""

        def is_online() -> bool:
            links = [link for name, link in self.info("replication").items() if name.startswith("slave")]
            ours = [link for link in links if isinstance(link, dict) and link["port"] == replica.port]
            return [link["state"] for link in ours] == ["online"]

        until("the primary to know its replica", is_online, seconds=_SECONDS, every=0.01)

    def _is_in_sync(self) -> bool:
        found = self.info("replication")
        return found.get("master_link_status") == "up" and found.get("master_sync_in_progress") == 0

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.flavor} ended: {self.log}"
        # Whoever is refused got an answer: a test may have other users.
        with suppress(redis.BusyLoadingError, redis.ConnectionError, redis.TimeoutError), self.client() as client:
            with suppress(redis.AuthenticationError, NoPermissionError):
                client.ping()
            return True
        return False

    def _program(self) -> Program:
        """The program under the name that makes it a server: Debian's is one file that is called by several."""
        program = redis_base.program(self.flavor)
        named = self.folder / f"{self.flavor}-server"
        if not named.is_symlink():
            named.symlink_to(program.path)
        return Program(named, program.environment)

    def _write_files(self) -> None:
        if not self.data.exists():
            self.data.mkdir()
            base.give_away(self.data)
        settings = {**_SETTINGS, "bind": self.host, "dir": str(self.data), "aclfile": str(self.users_file)}
        settings |= self._tls_settings() if self.tls else {"port": str(self.port)}
        self.write_users(self.users)
        lines = [f"{name} {value}" for name, value in {**settings, **self.settings}.items()]
        base.write(self.folder / "server.conf", "\n".join([*lines, ""]))

    def _tls_settings(self) -> dict[str, str]:
        issued = base.authority()
        files = {"ca.crt": issued.ca, "tls.crt": issued.certificate("server"), "tls.key": issued.key("server")}
        for name, path in files.items():
            base.write(self.folder / name, path.read_text())
        return {
            "port": "0",
            "tls-port": str(self.port),
            "tls-replication": "yes",
            "tls-auth-clients": "no",
            "tls-ca-cert-file": str(self.folder / "ca.crt"),
            "tls-cert-file": str(self.folder / "tls.crt"),
            "tls-key-file": str(self.folder / "tls.key"),
        }


#: So that none outlives the tests, however they end.
_running: Final[dict[int, RedisServer]] = {}


@atexit.register
def _end_all() -> None:
    for running in tuple(_running.values()):
        running.kill()
        shutil.rmtree(running.folder, ignore_errors=True)


@contextmanager
def server(
    flavor: Flavor = Flavor.REDIS,
    *,
    users: Sequence[str] = USERS,
    tls: bool = False,
    start: bool = True,
    settings: dict[str, str] | None = None,
) -> Iterator[RedisServer]:
    """Run a server, with settings as in redis.conf; gone at the end, with all that it has."""
    folder = base.new_folder(flavor.value)
    made = RedisServer(flavor, folder, base.free_port(), dict(settings or {}), users, tls)
    try:
        if start:
            made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replica_of(
    primary: RedisServer, *, wait: bool = True, settings: dict[str, str] | None = None
) -> Iterator[RedisServer]:
    """Run a replica of a server, of the same kind and, unless told otherwise, in sync."""
    chosen = {"replicaof": f"{primary.host} {primary.port}", **(settings or {})}
    with server(primary.flavor, users=primary.users, tls=primary.tls, settings=chosen) as made:
        if wait:
            made.wait_in_sync()
            primary.wait_for(made)
        yield made
