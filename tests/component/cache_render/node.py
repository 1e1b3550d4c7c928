"""Nodes of a tier without a cluster: real servers, started as in a pod on the files that are rendered."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hack.rig import postgres_base as base
from hack.rig.redis_base import Flavor
from hack.rig.waiting import until
from sophia_operator.core.cache import conf, names
from sophia_operator.core.cache.settings import live_settings
from sophia_operator.core.cache.views import TierAccess, TierView
from tests.golden import cache_cases
from tests.support.redis_shell import shell

HOST = "127.0.0.1"


def tier_of(**managed: Any) -> tuple[TierView, TierAccess]:
    """A tier, and its passwords: some that need quoting."""
    spec = {"level": "Redis", "redis": {"managed": managed}}
    tier = cache_cases.parse({"tier": {"name": "hot", "spec": spec}}).tier
    access = cache_cases.access_of(tier, replicator_password="a'b\"c\\d é ;#%\n")
    return tier, access


@dataclass
class Node:
    """A node: its files lie in `folder`, and its data in `folder`/data."""

    flavor: Flavor
    folder: Path
    port: int
    tier: TierView
    access: TierAccess
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def tls(self) -> bool:
        managed = self.tier.spec.redis.managed if self.tier.spec.redis is not None else None
        return managed is not None and managed.tls is not None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def write(self) -> None:
        """Render the files, and write them where the node reads them."""
        rendered = conf.files(self.tier, self.access)
        assert rendered is not None
        for name, text in rendered.items():
            moved = text.replace(f"{conf.TLS_FOLDER}/", f"{self.folder}/tls/").replace(conf.FOLDER, str(self.folder))
            moved = moved.replace(f"dir {conf.DATA}\n", f"dir {self.data}\n")
            base.write(self.folder / name, moved.replace(f"port {names.PORT}\n", f"port {self.port}\n"))
        for folder in (self.data, self.folder / "tls"):
            folder.mkdir(exist_ok=True)
            base.give_away(folder)
        issued = base.authority()
        files = {conf.CA: issued.ca, conf.CERTIFICATE: issued.certificate("server"), conf.KEY: issued.key("server")}
        for name, path in files.items():
            base.write(self.folder / "tls" / name, path.read_text())

    def start(self) -> None:
        """Start it as the container does, and wait until it answers."""
        self.launch()
        until(f"{self.flavor} to be ready", lambda: self._runs() and self.probe("ready"), seconds=20, every=0.02)

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        with (self.folder / "log").open("ab") as log:
            self.process = base.start(shell(self.flavor, self.folder, POD_IP=HOST), [self.folder / conf.START], log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
        self.process = None

    def probe(self, question: str, password: str | None = None) -> bool:
        """Ask as the kubelet does."""
        tls = ["--tls", "--cacert", str(self.folder / "tls" / conf.CA)] if self.tls else []
        with_password = shell(self.flavor, self.folder, REDISCLI_AUTH=password or self.access.prober_password or "")
        command = [str(with_password.path), str(self.folder / conf.PROBE), question, "-p", str(self.port), *tls]
        environment = os.environ | with_password.environment
        return subprocess.run(command, check=False, capture_output=True, env=environment, timeout=10).returncode == 0

    def client(self, user: str, password: str | None, **options: Any) -> redis.Redis:
        tls = {"ssl": True, "ssl_ca_data": base.authority().ca.read_text()} if self.tls else {}
        usual: dict[str, Any] = {"decode_responses": True, "retry": Retry(NoBackoff(), 0), "socket_timeout": 10}
        return redis.Redis(HOST, self.port, username=user, password=password, **{**usual, **tls, **options})

    def call(self, *words: str | int) -> Any:
        """Give a command as the operator."""
        with self.client(names.ADMIN, self.access.admin_password) as client:
            return client.execute_command(*words)

    def applications(self, **options: Any) -> redis.Redis:
        """A client, as applications are."""
        return self.client(names.client_user(self.tier.name), self.access.client_password, **options)

    def settings(self) -> dict[str, str]:
        """CONFIG GET of every live setting that the tier has."""
        with self.client(names.ADMIN, self.access.admin_password) as client:
            found: dict[str, str] = client.config_get(*live_settings(self.tier))
        return found

    def promote(self, *, alone: bool = True) -> None:
        """Make it the primary; `alone` lets it accept writes without a replica."""
        self.call("REPLICAOF", "NO", "ONE")
        if alone:
            self.call("CONFIG", "SET", names.MIN_REPLICAS, 0)

    def follow(self, other: Node) -> None:
        self.call("REPLICAOF", HOST, other.port)
        until("the replica to be in sync", self.follows, seconds=20, every=0.02)

    def follows(self) -> bool:
        """Whether it is a replica in sync."""
        return bool(self.replication().get("master_link_status") == "up")

    def replication(self) -> dict[str, Any]:
        """INFO replication, parsed."""
        with self.client(names.ADMIN, self.access.admin_password) as client:
            found: dict[str, Any] = client.info("replication")
            return found

    def is_loading(self) -> bool:
        """Whether it reads its data still."""
        with self.client(names.ADMIN, self.access.admin_password) as client:
            return bool(client.info("persistence")["loading"])

    def change(self, **managed: Any) -> None:
        """Give the tier another spec, and the node the files of it."""
        self.tier, _ = tier_of(**managed)
        self.write()

    def give(self, client_password: str) -> None:
        """Give applications another password, and the node the files of it."""
        self.access = replace(self.access, client_password=client_password)
        self.write()

    def _runs(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        return True


@contextmanager
def node(flavor: Flavor, **managed: Any) -> Iterator[Node]:
    """A node of a tier; gone at the end."""
    made = Node(flavor, base.new_folder("node"), base.free_port(), *tier_of(**managed))
    try:
        made.write()
        made.start()
        yield made
    finally:
        made.stop(signal.SIGKILL)
        shutil.rmtree(made.folder, ignore_errors=True)
