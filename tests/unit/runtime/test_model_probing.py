"""What is asked beside passes, what is remembered of it, and what is forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from sophia_operator.core.model.evidence import MOST_PROBES
from sophia_operator.core.model.findings import (
    ModelFailure,
    ModelFinding,
    ModelNeeds,
    ModelProbeRequest,
    PassiveTally,
    ReplicaFinding,
    ReplicaRequest,
    ReplicaTarget,
)
from sophia_operator.core.model.views import ModelAccess, ModelKept, ModelRouteObserved, ModelRouteView
from sophia_operator.runtime.models import probing
from sophia_operator.runtime.models.fence import FencedModels
from sophia_operator.runtime.models.probing import ModelProber
from sophia_operator.runtime.models.slots import ProbeSlots
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_gateways import FakeGateways
from tests.support.fake_models import FakeEndpoint, FakeModels, Mood, SimTime
from tests.support.model_routes import START, model, model_route, view

PRIMARY, SECOND = "https://primary.example.com/v1", "https://second.example.com/v1"


@dataclass
class FakeFigures:
    tallies: dict[str, PassiveTally] = field(default_factory=dict)
    seconds: float = 0.5

    async def passive(self, route: ModelRouteView) -> Mapping[str, PassiveTally] | str:  # noqa: ARG002
        await self.time.sleep(self.seconds)
        return self.tallies or "Prometheus does not answer"

    async def quality(self, route: ModelRouteView, model: str) -> float | str:  # noqa: ARG002
        await self.time.sleep(self.seconds)
        return 0.75

    time: SimTime = field(default_factory=lambda: SimTime(START))


class Rig:
    """A prober of one route, and the models that it asks."""

    def __init__(self) -> None:
        self.time = SimTime(START)
        self.models = FakeModels(self.time, FakeGateways(FakeCluster(), self.time.now))
        self.models.endpoints = {
            PRIMARY: FakeEndpoint("primary-model", key="one"),
            SECOND: FakeEndpoint("second-model"),
        }
        self.figures = FakeFigures(time=self.time)
        self.woken = 0
        self.certain = True
        self.told: list[str] = []
        self.prober = ModelProber(
            FencedModels(self.models, lambda: self.certain),
            self.figures,
            self.time,
            ProbeSlots(),
            done=self._wake,
            probed=lambda name, _: self.told.append(name),
            pause=self.time.sleep,
        )
        self.spec: dict[str, Any] = {"models": [model("primary"), model("second")]}
        self.access = {"primary": ModelAccess("one"), "second": ModelAccess()}

    def _wake(self) -> None:
        self.woken += 1

    @property
    def route(self) -> ModelRouteView:
        return view(model_route(**self.spec), active="primary")

    def ask(self, *probes: str, request: ReplicaRequest | None = None, **more: Any) -> bool:
        """A pass, as far as the prober is concerned."""
        route = self.route
        self.prober.about(route, self.access)
        observed = ModelRouteObserved(access=self.access, kept=self.prober.kept)
        return self.prober.begin(route, observed, ModelNeeds(probes=probes, **more), lambda _, __: request)

    async def passes(self, seconds: float) -> None:
        await self.settle()
        self.time.move(self.time.at + timedelta(seconds=seconds))
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def answers(self, name: str) -> list[str]:
        rows = self.prober.kept.probes.get(name, ())
        return [r.answer.fault.value if isinstance(r.answer, ModelFailure) else "ok" for r in rows]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await made.prober.close()
    assert made.prober.kept.under_way == {}


async def test_what_is_found_is_kept_and_wakes_the_loop(rig: Rig) -> None:
    assert rig.ask("primary", "second")
    assert rig.prober.kept.under_way == {"probe/primary": START, "probe/second": START}
    await rig.passes(0.2)
    assert (rig.answers("primary"), rig.answers("second"), rig.woken) == (["ok"], ["ok"], 2)
    assert (sorted(rig.told), rig.prober.kept.under_way) == (["primary", "second"], {})


async def test_a_model_that_hangs_delays_no_other_one(rig: Rig) -> None:
    rig.models.endpoints[PRIMARY].mood = Mood.HANGS
    for _ in range(9):
        rig.ask("primary", "second")
        await rig.passes(1.0)
    assert len(rig.models.endpoints[SECOND].asked_at) == 9
    # At most one at a time.
    assert len(rig.models.endpoints[PRIMARY].asked_at) == 1
    await rig.passes(1.0)
    assert rig.answers("primary") == ["Timeout"]


async def test_evidence_is_bounded_by_the_window_and_by_number(rig: Rig) -> None:
    rig.spec["switch"] = {"windowSeconds": 3600}
    for _ in range(MOST_PROBES + 20):
        rig.ask("second")
        await rig.passes(0.2)
    assert len(rig.answers("second")) == MOST_PROBES
    rig.spec["switch"] = {"windowSeconds": 5}
    rig.ask()
    assert len(rig.answers("second")) < 30


async def test_what_left_the_window_goes_without_a_new_finding(rig: Rig) -> None:
    for _ in range(5):
        rig.ask("second")
        await rig.passes(0.2)
    await rig.passes(600)
    rig.ask()
    assert len(rig.answers("second")) == 2


async def test_a_model_that_left_is_forgotten_and_not_asked_on(rig: Rig) -> None:
    rig.ask("primary", "second", qualities=("second",))
    await rig.passes(0.6)
    rig.models.endpoints[SECOND].mood = Mood.HANGS
    rig.ask("second")
    await rig.settle()
    rig.spec["models"] = [model("primary")]
    del rig.access["second"]
    rig.ask()
    await rig.passes(0)
    kept = rig.prober.kept
    assert (list(kept.probes), dict(kept.qualities), dict(kept.under_way)) == (["primary"], {}, {})
    assert rig.models.endpoints[SECOND].under_way == 0
    # One that comes back begins anew.
    rig.spec["models"] = [model("primary"), model("second")]
    rig.access["second"] = ModelAccess()
    rig.ask()
    assert "second" not in rig.prober.kept.probes


@pytest.mark.parametrize(
    "moved",
    [
        {"endpoint": {"url": "https://elsewhere.example.com/v1"}},
        {"endpoint": {"serviceRef": {"name": "second", "port": 80}}},
        {"model": "another"},
    ],
)
async def test_evidence_of_another_endpoint_never_counts(rig: Rig, moved: dict[str, Any]) -> None:
    rig.figures.tallies = {"primary": PassiveTally(9, 0), "second": PassiveTally(9, 9)}
    rig.ask("primary", "second", passive=True)
    await rig.passes(0.6)
    assert rig.prober.kept.passive is not None
    rig.models.endpoints[SECOND].latency_ms = 900
    rig.ask("second", passive=True)
    await rig.settle()
    rig.spec["models"] = [model("primary"), model("second", **moved)]
    rig.ask()
    await rig.passes(1.0)
    kept = rig.prober.kept
    assert "second" not in kept.probes, "not even one that was under way"
    assert kept.passive is not None
    assert kept.passive.answer == {"primary": PassiveTally(9, 0)}, "counts go back over the window"
    assert "second" not in kept.access_changed_at
    await rig.passes(61)
    rig.ask(passive=True)
    await rig.passes(1.0)
    assert rig.prober.kept.passive is not None
    assert set(rig.prober.kept.passive.answer) == {"primary", "second"}


async def test_another_key_is_told_and_what_was_found_stays(rig: Rig) -> None:
    rig.access["primary"] = ModelAccess("wrong")
    rig.ask("primary")
    await rig.passes(0.2)
    assert rig.answers("primary") == ["CredentialsRefused"]
    assert rig.prober.kept.access_changed_at == {}
    rig.access["primary"] = ModelAccess("one")
    rig.ask("primary")
    assert rig.prober.kept.access_changed_at == {"primary": rig.time.at}
    await rig.passes(0.2)
    assert rig.answers("primary") == ["CredentialsRefused", "ok"]


async def test_with_a_key_that_is_replaced_nothing_is_asked_to_its_end(rig: Rig) -> None:
    rig.models.endpoints[PRIMARY].mood = Mood.HANGS
    rig.ask("primary")
    await rig.settle()
    rig.access["primary"] = ModelAccess("two")
    rig.ask()
    await rig.settle()
    assert (rig.models.endpoints[PRIMARY].under_way, rig.answers("primary")) == (0, [])


async def test_a_key_that_is_away_for_a_while_and_comes_back_is_no_other_one(rig: Rig) -> None:
    rig.ask("primary")
    await rig.passes(0.2)
    kept = rig.access.pop("primary")
    assert not rig.ask("primary"), "without a key it is not asked"
    rig.access["primary"] = kept
    rig.ask()
    assert rig.prober.kept.access_changed_at == {}


async def test_replicas_of_another_gateway_are_forgotten(rig: Rig) -> None:
    target = ReplicaTarget("litellm-0", "http://10.4.0.1:4000", None, "/v1", "chat")
    rig.ask(replicas=True, request=ReplicaRequest((target,), 5.0))
    await rig.passes(0)
    kept = rig.prober.kept
    assert (kept.asked_at, kept.asking_failed) == (START, None)
    assert isinstance(kept.replicas["litellm-0"], ReplicaFinding)
    rig.spec["gateway"] = {"liteLLM": {"selector": {"app": "other"}}}
    rig.ask()
    assert (rig.prober.kept.replicas, rig.prober.kept.asked_at) == ({}, None)


async def test_why_no_replica_is_known_is_kept(rig: Rig) -> None:
    nowhere = ReplicaTarget("nowhere.svc", "http://nowhere.svc:80", None, "/v1", "chat", resolve=True)
    rig.ask(replicas=True, request=ReplicaRequest((nowhere,), 5.0))
    await rig.passes(0)
    kept = rig.prober.kept
    assert (kept.asking_failed, kept.replicas, kept.asked_at) == (
        "the data plane's name resolves to no address",
        {},
        START,
    )
    assert not rig.ask(replicas=True, request=None), "there may be nobody to ask"


async def test_figures_of_other_queries_are_forgotten(rig: Rig) -> None:
    rig.spec["models"] = [model("primary", qualityQuery="good"), model("second")]
    rig.ask(passive=True, qualities=("primary",))
    await rig.passes(0.6)
    kept = rig.prober.kept
    assert kept.passive is not None
    assert (kept.passive.answer, kept.qualities["primary"].answer) == ("Prometheus does not answer", 0.75)
    rig.spec["models"] = [model("primary", qualityQuery="better"), model("second")]
    rig.spec["metrics"] = {"preset": "LiteLLM"}
    rig.ask()
    assert (rig.prober.kept.passive, rig.prober.kept.qualities) == (None, {})


async def test_a_fault_of_the_operator_is_no_evidence_and_is_tried_again(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: str) -> None:
        raise RuntimeError("a bug")

    rig.models.hook = fails
    with caplog.at_level(logging.ERROR):
        rig.ask("primary")
        await rig.passes(1.0)
    assert "a request failed in the operator itself" in caplog.text
    assert (rig.answers("primary"), rig.woken, list(rig.prober.kept.under_way)) == ([], 0, ["probe/primary"])
    rig.models.hook = lambda _: None
    await rig.passes(5.0)
    assert (rig.woken, rig.prober.kept.under_way) == (1, {})
    rig.ask("primary")
    await rig.passes(0.2)
    assert rig.answers("primary") == ["ok"]


async def test_without_the_lease_nobody_is_asked_and_nobody_is_blamed(rig: Rig) -> None:
    rig.certain = False
    target = ReplicaTarget("litellm-0", "http://10.4.0.1:4000", None, "/v1", "chat")
    rig.ask("primary", "second", replicas=True, request=ReplicaRequest((target,), 5.0))
    await rig.passes(1.0)
    kept = rig.prober.kept
    assert (kept.probes, kept.replicas, kept.asked_at, rig.models.rounds) == ({}, {}, None, 0)
    assert rig.models.endpoints[PRIMARY].asked_at == []
    rig.certain = True
    await rig.passes(5.0)
    rig.ask("primary")
    await rig.passes(0.2)
    assert rig.answers("primary") == ["ok"]


async def test_no_key_is_shown_by_what_is_kept(rig: Rig) -> None:
    rig.access["primary"] = ModelAccess("canary", "canary-ca")
    rig.ask("primary")
    await rig.passes(0.2)
    assert "canary" not in repr(rig.prober._kept) + repr(rig.prober._access) + repr(rig.prober._running)


async def test_a_finding_that_arrives_as_it_is_cut_off_is_not_kept(rig: Rig) -> None:
    rig.ask("second")
    await rig.settle()
    # The answer is there, and nobody has looked at it yet.
    rig.time.move(rig.time.at + timedelta(seconds=0.2))
    rig.spec["models"] = [model("primary"), model("second", model="another")]
    rig.ask()
    await rig.settle()
    assert rig.answers("second") == []


async def test_a_clock_that_is_set_back_keeps_nobody_from_being_asked(rig: Rig) -> None:
    target = ReplicaTarget("litellm-0", "http://10.4.0.1:4000", None, "/v1", "chat")
    asked: dict[str, Any] = {
        "passive": True,
        "qualities": ("second",),
        "replicas": True,
        "request": ReplicaRequest((target,), 5.0),
    }
    rig.ask("primary", "second", **asked)
    await rig.passes(0.6)
    rig.models.endpoints[SECOND].mood = Mood.HANGS
    rig.ask("second")
    await rig.settle()
    rig.time.at = START - timedelta(hours=1)
    rig.ask()
    await rig.settle()
    # As after a restart: what is under way as well would be of a time that is yet to come.
    assert (rig.prober.kept, rig.models.endpoints[SECOND].under_way) == (ModelKept(), 0)
    rig.ask("primary")
    await rig.passes(0.2)
    # A clock that is corrected by a little forgets nothing.
    rig.time.at -= timedelta(seconds=0.5)
    rig.ask()
    assert rig.answers("primary") == ["ok"]


async def test_a_probe_that_ends_by_no_limit_of_its_own_is_asked_again_an_interval_after_its_end(rig: Rig) -> None:
    async def hangs(request: ModelProbeRequest) -> ModelFinding:
        await rig.time.sleep(3600)
        raise AssertionError(request)

    rig.models.probe = hangs  # type: ignore[method-assign]
    rig.spec["probe"] = {"intervalSeconds": 1, "timeoutSeconds": 1}
    with patch.object(probing, "_GRACE_SECONDS", -0.99):
        rig.ask("primary")
        await rig.settle()
        rig.time.at += timedelta(seconds=6)
        async with asyncio.timeout(30):
            while rig.prober.kept.under_way:
                await asyncio.sleep(0.005)
    (found,) = rig.prober.kept.probes["primary"]
    assert (rig.answers("primary"), found.at) == (["Timeout"], START + timedelta(seconds=6))


async def test_counts_of_a_model_that_comes_back_are_of_the_one_before(rig: Rig) -> None:
    rig.figures.tallies = {"primary": PassiveTally(9, 0), "second": PassiveTally(9, 9)}
    rig.ask(passive=True)
    await rig.passes(0.6)
    rig.spec["models"] = [model("primary")]
    rig.ask()
    rig.spec["models"] = [model("primary"), model("second", endpoint={"url": "https://elsewhere.example.com/v1"})]
    rig.ask(passive=True)
    await rig.passes(0.6)
    assert rig.prober.kept.passive is not None
    assert rig.prober.kept.passive.answer == {"primary": PassiveTally(9, 0)}
    await rig.passes(61)
    rig.ask(passive=True)
    await rig.passes(0.6)
    assert rig.prober.kept.passive is not None
    assert set(rig.prober.kept.passive.answer) == {"primary", "second"}
