"""The nodes under a cluster in memory: each pod of a pool is a real PgBouncer, at an address of its own."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg

from hack.rig import postgres_base as base
from hack.rig.debian_programs import Program
from hack.rig.pgbouncer import PgBouncer
from hack.rig.waiting import until
from sophia_operator.core.pool import names, settings
from sophia_operator.core.pool.scripts import START
from sophia_operator.ports import Object
from tests.support.addresses import own_address
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_cluster_controllers import Controllers
from tests.support.fake_cluster_fleets import Fleets

_READY_SECONDS: Final = 15.0


class LoopbackFleets(Fleets):
    """Pods have addresses at which something can listen."""

    def address(self, pod: Object) -> str:
        uid = pod["metadata"]["uid"]
        return self._addresses.setdefault(uid, own_address(len(self._addresses) + 2))


@dataclass
class Nodes:
    """The kubelets: they start what has an address and a Secret, and mount the Secret anew when a pod is poked."""

    cluster: FakeCluster
    controllers: Controllers
    running: dict[str, PgBouncer] = field(default_factory=dict)
    _poked: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.controllers.fleets = LoopbackFleets(self.cluster)

    def tick(self) -> None:
        """One round of everything around the operator."""
        for pod in [p for p in self.cluster.all("Pod") if p["status"].get("podIP")]:
            self._keep(pod)
        there = {p["metadata"]["name"] for p in self.cluster.all("Pod")}
        for name in self.running.keys() - there:
            self._remove(name)
        self.controllers.tick()

    def stop(self) -> None:
        """End everything."""
        for name in list(self.running):
            self._remove(name)

    def _keep(self, pod: Object) -> None:
        name, files = pod["metadata"]["name"], self._files(pod)
        poked = (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_CONFIG)
        if files is None or (name in self.running and self._poked[name] == poked):
            return
        if name not in self.running:
            made = PgBouncer(base.new_folder("instance"), names.PORT, host=pod["status"]["podIP"])
            self._write(made, files)
            self.running[name] = made
            _start(made)
        self._write(self.running[name], files)
        self._poked[name] = poked

    def _files(self, pod: Object) -> dict[str, str] | None:
        pool = pod["metadata"]["labels"][names.LABEL_POOL]
        secret = self.cluster.find("Secret", names.config_secret(pool), pod["metadata"]["namespace"])
        if secret is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}

    @staticmethod
    def _write(instance: PgBouncer, files: dict[str, str]) -> None:
        """As they are rendered, but for where they are, and for the address: here all instances have one network."""
        for name, text in files.items():
            own = text.replace(settings.FOLDER, str(instance.folder))
            own = own.replace("listen_addr = *\n", f"listen_addr = {instance.host}\n")
            base.write(instance.folder / name, own)

    def _remove(self, name: str) -> None:
        instance = self.running.pop(name)
        instance.stop(signal.SIGTERM)
        shutil.rmtree(instance.folder, ignore_errors=True)


def _start(instance: PgBouncer) -> None:
    """As the container does."""
    program = base.pgbouncer_program()
    path = f"{program.path.parent}{os.pathsep}{os.environ['PATH']}"
    shell = Program(Path("/bin/sh"), {**program.environment, "PATH": path})
    with (instance.folder / "log").open("ab") as log:
        instance.process = base.start(shell, [instance.folder / START], log)

    def listens() -> bool:
        assert instance.process is not None
        assert instance.process.poll() is None, instance.log
        with socket.socket() as probe:
            return probe.connect_ex((instance.host, instance.port)) == 0

    until("PgBouncer to take connections", listens, seconds=_READY_SECONDS, every=0.02)


def conninfo(instance: PgBouncer, user: str, password: str, database: str) -> str:
    """How a client connects to one instance."""
    values: dict[str, Any] = {"host": instance.host, "port": instance.port, "dbname": database, "user": user}
    return psycopg.conninfo.make_conninfo(**values, password=password, sslmode="disable")
