"""The kubelet of a cluster in memory whose pods are real Redis servers, each at an address of its own."""

from __future__ import annotations

import asyncio
import base64
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hack.rig import postgres_base as base
from hack.rig.redis_base import Flavor
from sophia_operator.core.cache import conf, names
from sophia_operator.ports import Object
from tests.support.addresses import own_address
from tests.support.fake_cluster_nodes import NodePods, Run
from tests.support.redis_shell import shell

_PROBE_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 2.0


@dataclass
class Process:
    """A server of a pod."""

    folder: Path
    address: str
    popen: subprocess.Popen[bytes]
    began: datetime
    ready: bool = False

    @property
    def over(self) -> bool:
        """Whether it ended."""
        return self.popen.poll() is not None

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "log").read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; it may be gone."""
        if not self.over:
            self.popen.send_signal(number)

    def kill(self) -> None:
        """End it: nothing is saved."""
        self.signal(signal.SIGKILL)
        self.popen.wait(30)


@dataclass
class RealNodes(NodePods):
    """Pods whose processes are real."""

    flavor: Flavor = Flavor.REDIS
    #: The newest process by the uid of its pod.
    processes: dict[str, Process] = field(default_factory=dict)

    def new_address(self, number: int) -> str:
        """As in NodePods."""
        return own_address(number + 2)

    def start(self, pod: Object, files: Mapping[str, str]) -> None:
        """As in NodePods: the container starts, with an empty folder for its data when the pod is a new one."""
        uid, address = pod["metadata"]["uid"], self.address(pod)
        assert address is not None
        before = self.processes.get(uid)
        folder = before.folder if before is not None else base.new_folder("cache")
        data = folder / "data"
        if not data.exists():
            data.mkdir()
            base.give_away(data)
        for name, text in files.items():
            base.write(folder / name, self._moved(text, folder, address))
        with (folder / "log").open("ab") as log:
            popen = base.start(shell(self.flavor, folder, POD_IP=address), [folder / conf.START], log)
        self.processes[uid] = Process(folder, address, popen, self.clock())

    @staticmethod
    def _moved(text: str, folder: Path, address: str) -> str:
        """As it is rendered, but for where it is: here all nodes have one machine."""
        moved = text.replace(conf.FOLDER, str(folder)).replace(f"dir {conf.DATA}\n", f"dir {folder}/data\n")
        return moved.replace("bind * -::*\n", f"bind {address}\n")

    def end(self, pod: Object) -> None:
        """As in NodePods: the kubelet asks, waits, and kills."""
        process = self.processes.pop(pod["metadata"]["uid"], None)
        if process is not None:
            _end(process, signal.SIGTERM)

    def run_of(self, pod: Object) -> Run | None:
        """As in NodePods."""
        process = self.processes.get(pod["metadata"]["uid"])
        return None if process is None else Run(process.began, process.ready, process.over)

    def process(self, name: str) -> Process:
        """The newest process of that pod."""
        return self.processes[self.pod(name)["metadata"]["uid"]]

    def stop(self) -> None:
        """End everything."""
        for process in list(self.processes.values()):
            _end(process, signal.SIGKILL)
        self.processes.clear()

    async def probe(self) -> None:
        """Ask every node whether it is ready, again and again, as its kubelet does."""
        while True:
            found = {p["metadata"]["uid"]: p for p in self.pods()}
            asked = [(uid, self.processes[uid]) for uid in found if uid in self.processes]
            answers = await asyncio.gather(*(self._is_ready(found[uid], process) for uid, process in asked))
            for (_, process), ready in zip(asked, answers, strict=True):
                process.ready = ready
            await asyncio.sleep(_PROBE_SECONDS)

    async def _is_ready(self, pod: Object, process: Process) -> bool:
        tier, space = pod["metadata"]["labels"][names.LABEL_CACHE], pod["metadata"]["namespace"]
        secret = self.cluster.find("Secret", names.access_secret(tier), space)
        if secret is None or process.over:
            return False
        password = base64.b64decode(secret["data"][names.PROBER_KEY]).decode()
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(process.address, names.PORT)
                try:
                    writer.write(f"AUTH {names.PROBER} {password}\r\nPING\r\n".encode())
                    return [await reader.readline() for _ in range(2)] == [b"+OK\r\n", b"+PONG\r\n"]
                finally:
                    writer.close()
        return False


def _end(process: Process, how: signal.Signals) -> None:
    process.signal(how)
    process.signal(signal.SIGCONT)
    try:
        process.popen.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
    shutil.rmtree(process.folder, ignore_errors=True)


def client(address: str, user: str, password: str, *, timeout: float = 5.0, **options: Any) -> redis.Redis:
    """A client of one node, without retries of its own."""
    return redis.Redis(
        address,
        names.PORT,
        username=user,
        password=password,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        **options,
    )
