"""Real LiteLLM proxies on the loopback interface.

one = LiteLlm(folder, {"MODEL_KEY_CHAT__PRIMARY": "sk-1"})
with proxies([one], litellm_data(route)):
    one.mount(litellm_data(changed))
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from hack.cluster import litellm
from hack.rig import mounted
from hack.rig.postgres_base import free_port
from hack.rig.waiting import until

HOST: Final = "127.0.0.1"
MASTER_KEY: Final = "sk-rig-master"
#: It imports for 12 s of a processor, and tests run beside others.
_START_SECONDS: Final = 240.0
_STOP_SECONDS: Final = 20.0


@dataclass
class LiteLlm:
    """A proxy, as a pod with the operator's ConfigMap runs it."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    host: str = HOST
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> str:
        """What it has written."""
        return (self.folder / "log").read_text(errors="replace")

    def mount(self, data: Mapping[str, str]) -> None:
        """Change what it reads, as kubelet does."""
        mounted.mount(self.folder / "mounted", data)

    def start(self) -> None:
        """Start it; `wait_ready` waits until it serves."""
        assert self.process is None, "it runs already"
        # The price list would come from the internet, and a bytecode cache would go beside the mounted files.
        quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(self.folder)}
        mine = {"LITELLM_MASTER_KEY": MASTER_KEY, **self.environment}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(litellm.ensure(), "--config", self.folder / "mounted" / "config.yaml"),
                    *("--host", self.host, "--port", str(self.port)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | quiet | mine,
                process_group=0,
            )

    def wait_ready(self) -> None:
        """Wait until it serves. Raises AssertionError, with what it wrote, when it ends instead."""
        until("LiteLLM to serve", self._is_ready, seconds=_START_SECONDS, every=0.1)

    def stop(self) -> None:
        """End it."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(_STOP_SECONDS)
        self.process = None

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"LiteLLM ended: {self.log[-4000:]}"
        try:
            return httpx.get(f"{self.url}/health/liveliness", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@contextmanager
def proxies(ones: Sequence[LiteLlm], data: Mapping[str, str]) -> Iterator[None]:
    """Run proxies that start beside each other, each with a mount of its own of `data`."""
    try:
        for one in ones:
            one.mount(data)
            one.start()
        for one in ones:
            one.wait_ready()
        yield
    finally:
        for one in ones:
            one.stop()
