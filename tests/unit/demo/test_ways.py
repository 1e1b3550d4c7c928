"""Whether pods and Services can be reached from here, and why not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from hack.demo import ways
from hack.demo.ways import why_no_pods, why_no_service


class Pods:
    """The operator's pods."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self._pods = list(pods)

    def list(self, kind: str, namespace: str, labels: str) -> list[dict[str, Any]]:
        assert (kind, namespace, labels) == ("Pod", "sophia-system", "app.kubernetes.io/name=sophia-operator")
        return self._pods


def pod(*ports: int, ready: bool = True) -> dict[str, Any]:
    return {
        "spec": {"containers": [{}, {"ports": [{"containerPort": port} for port in ports]}]},
        "status": {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


@pytest.fixture
def open_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> Iterator[int]:
    # Bound, so that nobody else takes it, and not listening.
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def why(*pods: dict[str, Any]) -> str | None:
    return why_no_pods(Pods(*pods))  # type: ignore[arg-type]


def test_one_port_that_answers_is_enough(open_port: int, closed_port: int) -> None:
    assert why(pod(closed_port, open_port)) is None
    assert why(pod(closed_port), pod(open_port)) is None


def test_pods_that_do_not_answer(closed_port: int) -> None:
    expected = f"this machine has no way to pods (127.0.0.1:{closed_port}: Connection refused)"
    assert why(pod(closed_port)) == expected


def test_only_pods_that_are_ready_are_asked(open_port: int) -> None:
    assert why(pod(open_port, ready=False)) == "this machine has no way to pods (the operator has none that is ready)"


def test_a_service(open_port: int, closed_port: int) -> None:
    assert why_no_service("127.0.0.1", open_port) is None
    expected = f"this machine has no way to Services (127.0.0.1:{closed_port}: Connection refused)"
    assert why_no_service("127.0.0.1", closed_port, seconds=0) == expected


def test_a_service_that_proxies_learn_of_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["10.0.0.7:80: Network is unreachable", None])
    monkeypatch.setattr(ways, "why_not", lambda *_: next(answers))
    monkeypatch.setattr(ways, "_LOOK_SECONDS", 0)
    assert why_no_service("10.0.0.7", 80) is None
