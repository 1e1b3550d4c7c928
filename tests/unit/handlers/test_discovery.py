"""A kind is found although the API server serves it only some time after its CRD says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import pytest
from kopf._core.reactor import observation

from sophia_operator.handlers import discovery
from sophia_operator.runtime.watched import POLICIES, POOLS

POOL_CRD: Final = "connectionpools.sophia.ai"


def crd(name: str = POOL_CRD, *, established: bool = True) -> dict[str, Any]:
    plural, _, group = name.partition(".")
    conditions = [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": str(established)}]
    return {
        "metadata": {"name": name},
        "spec": {"group": group, "names": {"plural": plural}},
        "status": {"conditions": conditions},
    }


@dataclass
class Server:
    """Serves the kind from the `served_at`th question on."""

    served_at: int
    asked: list[str | None] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    insights: Any = field(default_factory=lambda: SimpleNamespace(watched_resources=set()))

    async def answer(self, *, raw_event: Any, insights: Any, **rest: Any) -> None:
        assert rest == {"settings": "all of them"}
        self.asked.append(raw_event["type"])
        if len(self.asked) >= self.served_at:
            insights.watched_resources.add(Resource("sophia.ai", "connectionpools"))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass(frozen=True)
class Resource:
    group: str
    plural: str


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(served_at=1)
    monkeypatch.setattr(discovery, "_ask", made.answer)
    monkeypatch.setattr("sophia_operator.handlers.discovery.asyncio.sleep", made.sleep)
    monkeypatch.setattr(observation, "process_discovered_resource_event", made.answer)
    discovery.install()
    return made


async def tell(server: Server, event: str | None = "MODIFIED", what: dict[str, Any] | None = None) -> None:
    raw_event: Any = {"type": event, "object": what or crd()}
    ask: Any = observation.process_discovered_resource_event
    await ask(raw_event=raw_event, insights=server.insights, settings="all of them")


async def test_a_kind_that_is_served_at_once_is_asked_for_once(server: Server) -> None:
    await tell(server)
    assert (server.asked, server.slept) == (["MODIFIED"], [])


async def test_it_is_asked_again_until_it_is_served(server: Server) -> None:
    server.served_at = 4
    await tell(server)
    assert (len(server.asked), server.slept) == (4, list(discovery.WAITS[:3]))


async def test_one_that_was_listed_first_and_missed_is_asked_for(server: Server) -> None:
    server.served_at = 2
    await tell(server, None)
    assert server.asked == [None, "MODIFIED"], "without a type the framework does not ask"


async def test_it_ends_with_a_word_when_the_kind_is_never_served(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.served_at = 99
    await tell(server)
    assert server.slept == list(discovery.WAITS)
    assert caplog.messages == [f"{POOL_CRD} is installed, but the API server does not serve it"]


@pytest.mark.parametrize(
    ("event", "what"),
    [
        ("DELETED", crd()),
        ("ADDED", crd(established=False)),
        ("ADDED", crd("somethingelse.example.com")),
        ("ADDED", {k: v for k, v in crd().items() if k != "status"}),
        ("ADDED", crd() | {"status": {"conditions": None}}),
    ],
)
async def test_nothing_more_is_asked_for_what_need_not_be_there(
    server: Server, event: str, what: dict[str, Any]
) -> None:
    server.served_at = 99
    await tell(server, event, what)
    assert (server.asked, server.slept) == ([event], [])


async def test_kinds_that_may_not_be_watched_are_not_asked_for(server: Server) -> None:
    server.served_at = 99
    discovery.install(forbidden=(POOLS,))
    await tell(server)
    assert server.slept == []
    discovery.install(forbidden=(POLICIES,))
    await tell(server)
    assert len(server.slept) == len(discovery.WAITS)
