"""A stand-in for Docker, because it is not everywhere."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from hack.cluster import binaries, shell
from hack.cluster.providers import kind


class Docker:
    """Stands in for docker, kind and kubectl, as far as the provider uses them."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.clusters: set[str] = set()
        self.made = 0
        self.published = "127.0.0.1:49153\n"
        self.missing: str | None = None
        self.ran: list[list[str]] = []
        self.api_answers = True
        self.interrupt_creation = False
        self.fail_creation = False

    def run(self, argv: Sequence[str | Path], **_: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in argv]
        words[0] = Path(words[0]).name
        self.ran.append(words)
        if words[0] == self.missing:
            raise shell.CommandError(words, "not found")
        stdout = ""
        match words[:3]:
            case ["kind", "get", "clusters"]:
                stdout = "\n".join(sorted(self.clusters))
            case ["kind", "create", "cluster"]:
                assert (self.state / "creating").exists()
                if self.fail_creation:
                    raise shell.CommandError(words, "exit code 1")
                self.make()
                if self.interrupt_creation:
                    raise KeyboardInterrupt
                (self.state / "kubeconfig").write_text("current-context: kind-sophia\n")
            case ["kind", "delete", "cluster"]:
                self.clusters.discard("sophia")
            case ["docker", "inspect", _] if "{{.Id}}" in words:
                stdout = f"container-{self.made}\n" if self.clusters else ""
            case ["docker", "inspect", _]:
                stdout = "172.18.0.2 \n" if self.clusters else ""
            case ["docker", "port", _]:
                stdout = self.published
            case ["kubectl", *_]:
                stdout = "ok" if self.api_answers else ""
        return subprocess.CompletedProcess(words, 0, stdout, "")

    def make(self) -> None:
        """Make a cluster, by whomever: its container has a new id."""
        self.clusters.add("sophia")
        self.made += 1

    def count(self, *start: str) -> int:
        return sum(words[: len(start)] == list(start) for words in self.ran)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    docker = Docker(tmp_path / "state")
    monkeypatch.setenv("SOPHIA_CACHE", str(tmp_path))
    monkeypatch.setenv("SOPHIA_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(shell, "run", docker.run)
    monkeypatch.setattr(kind, "_ANSWER_SECONDS", 0.02)
    monkeypatch.setattr(kind, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(binaries, "ensure", lambda _names: tmp_path / "bin")
    return docker


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "operator.tar"
    path.write_text("image")
    return path
