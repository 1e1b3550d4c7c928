"""A route from its beginning to its end, with everything around it in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sophia_operator.core.model import names
from sophia_operator.core.model.names import ANNOTATION_CONFIG
from tests.support.fake_models import Mood
from tests.support.fake_models_harness import ModelHarness
from tests.support.model_routes import NAME, NAMESPACE, http_route, key_of, model_route, secret, served_model


@pytest.fixture(params=["liteLLM", "httpRoute"])
async def settled(request: pytest.FixtureRequest) -> AsyncIterator[ModelHarness]:
    """A route whose best model serves, by each kind of gateway."""
    made = ModelHarness(routes=(model_route() if request.param == "liteLLM" else http_route(),))
    await made.run_until(lambda: made.serves("primary"))
    yield made
    await made.stop()


async def test_a_route_comes_up_and_proves_its_first_model(settled: ModelHarness) -> None:
    status = settled.status()
    assert (status.active, status.best) == ("primary", "primary")
    assert status.revision == status.proved_revision >= 1
    assert len(status.replicas) == 2
    assert {(r.revision, r.model) for r in status.replicas} == {(status.revision, "primary")}
    assert [(s.kind.value, s.to) for s in status.switches] == [("First", "primary")]
    assert {m.name: m.rank for m in status.models}["primary"] == 1
    binding = settled.cluster.find("Secret", names.binding_secret(NAME))
    assert binding is not None
    assert status.endpoint
    uid = settled.route()["metadata"]["uid"]
    for kind in ("HTTPRoute", "Service", "ConfigMap", "Secret"):
        for obj in settled.cluster.all(kind):
            if names.LABEL_ROUTE in obj["metadata"].get("labels", {}):
                assert obj["metadata"]["ownerReferences"][0]["uid"] == uid


async def test_a_model_that_fails_is_left_and_every_replica_is_seen_to_follow(settled: ModelHarness) -> None:
    began = settled.now
    settled.endpoint("primary").mood = Mood.GONE
    await settled.run_until(lambda: settled.shares() == {"second": 100})
    assert (settled.now - began).total_seconds() < 8
    await settled.run_until(lambda: settled.serves("second"))
    status = settled.status()
    assert (status.switches[-1].kind.value, status.switches[-1].from_model, status.preferred) == (
        "Failover",
        "primary",
        "primary",
    )
    assert {(r.revision, r.model) for r in status.replicas} == {(status.revision, "second")}


async def test_traffic_goes_back_by_stages(settled: ModelHarness) -> None:
    settled.endpoint("primary").mood = Mood.GONE
    await settled.run_until(lambda: settled.serves("second"))
    settled.endpoint("primary").mood = Mood.WELL
    seen: list[int] = []

    def note() -> bool:
        share = settled.shares().get("primary", 0)
        if share and share not in seen:
            seen.append(share)
        return settled.serves("primary")

    await settled.run_until(note, limit=400)
    assert seen == [10, 50, 100]
    assert settled.status().switches[-1].kind.value == "Failback"
    assert settled.status().preferred is None


async def test_a_pin_moves_all_traffic_and_keeps_it_there(settled: ModelHarness) -> None:
    settled.change(pin="second")
    await settled.run_until(lambda: settled.serves("second"))
    assert settled.status().switches[-1].kind.value == "Pin"
    settled.endpoint("second").mood = Mood.ERRS
    await settled.run(60)
    assert settled.shares() == {"second": 100}
    settled.endpoint("second").mood = Mood.WELL
    settled.change(pin=None)
    await settled.run_until(lambda: settled.serves("primary"), limit=500)


async def test_a_dry_run_tells_and_moves_nothing(settled: ModelHarness) -> None:
    settled.change(dryRun=True)
    await settled.run(2)
    revision = settled.status().revision
    settled.endpoint("primary").mood = Mood.GONE
    await settled.run(60)
    assert (settled.shares(), settled.status().revision) == ({"primary": 100}, revision)
    assert settled.reasons().count("WouldSwitch") == 1


async def test_when_all_models_are_down_traffic_stays(settled: ModelHarness) -> None:
    for name in ("primary", "second", "third"):
        settled.endpoint(name).mood = Mood.GONE
    await settled.run(30)
    where, revision = settled.shares(), settled.status().revision
    await settled.run(120)
    assert (settled.shares(), settled.status().revision) == (where, revision)
    said = settled.condition("Available")
    assert said is not None
    assert said[:2] == ("False", "AllModelsDown")
    for name in ("primary", "second", "third"):
        settled.endpoint(name).mood = Mood.WELL
    await settled.run_until(lambda: settled.serves("primary"), limit=300)


async def test_in_calm_nothing_is_written(settled: ModelHarness) -> None:
    await settled.run(400)
    calls, asked = len(settled.cluster.calls), len(settled.endpoint("second").asked_at)
    await settled.run(600)
    assert [(c.verb, c.kind, c.name) for c in settled.cluster.calls[calls:] if c.write is not None] == []
    # By probes each second.
    assert len(settled.endpoint("second").asked_at) - asked > 400


async def test_a_new_process_leaves_what_serves_as_it_is(settled: ModelHarness) -> None:
    await settled.run(60)
    revision, writes = settled.status().revision, len(settled.cluster.writes)
    settled.start()
    await settled.run(20)
    assert settled.serves("primary")
    assert (settled.status().revision, settled.status().proved_revision) == (revision, revision)
    others = [c for c in settled.cluster.writes[writes:] if c.kind not in ("ModelRoute", "Pod")]
    assert [(c.verb, c.kind, c.name) for c in others] == []


async def test_a_route_that_is_deleted_leaves_nothing_behind(settled: ModelHarness) -> None:
    settled.endpoint("second").mood = Mood.HANGS
    await settled.run(5)
    loop = settled.loop
    settled.cluster.remove("ModelRoute", NAME)
    await settled.run(2)
    assert settled.loops == {}
    assert loop._prober.kept.under_way == {}
    assert settled.endpoint("second").under_way == 0
    left = [
        (o["kind"], o["metadata"]["name"])
        for kind in ("HTTPRoute", "Service", "ConfigMap", "Secret", "EndpointSlice")
        for o in settled.cluster.all(kind)
        if names.LABEL_ROUTE in o["metadata"].get("labels", {})
    ]
    assert left == []
    text = settled.telemetry.exposition().decode()
    assert f'route="{NAME}"' not in text
    calls = len(settled.cluster.calls)
    await settled.run(60)
    assert len(settled.cluster.calls) == calls


async def test_what_somebody_edits_or_deletes_is_put_right(settled: ModelHarness) -> None:
    await settled.run(5)
    by_route = settled.cluster.find("HTTPRoute", names.workload(NAME)) is not None
    kind, name = ("HTTPRoute", names.workload(NAME)) if by_route else ("ConfigMap", names.litellm_config_map(NAME))
    before = settled.cluster.find(kind, name)
    assert before is not None

    def spoil(obj: dict[str, Any]) -> None:
        if by_route:
            obj["spec"]["hostnames"] = ["elsewhere.example.com"]
        else:
            obj["data"]["route.json"] = "{}"

    settled.cluster.edit(kind, name, spoil)
    await settled.run(2)
    mended = settled.cluster.find(kind, name)
    assert mended is not None
    assert (mended.get("spec"), mended.get("data")) == (before.get("spec"), before.get("data"))
    settled.cluster.remove(kind, name)
    await settled.run(2)
    assert settled.cluster.find(kind, name) is not None


async def test_another_kind_of_gateway_takes_the_place_of_the_one_before() -> None:
    served = [served_model("primary", quality="0.9"), served_model("second", quality="0.7")]
    made = ModelHarness(routes=(model_route(models=served),))
    await made.run_until(lambda: made.serves("primary"))
    made.change(gateway=http_route()["spec"]["gateway"])
    await made.run_until(lambda: made.serves("primary") and len(made.status().replicas) == 2, limit=60)
    assert made.cluster.find("ConfigMap", names.litellm_config_map(NAME)) is None
    assert made.cluster.find("Service", names.workload(NAME)) is None
    assert {r.name for r in made.status().replicas} == {"10.1.0.1", "10.1.0.2"}
    await made.stop()


async def test_a_secret_that_is_missing_concerns_one_model() -> None:
    made = ModelHarness()
    made.cluster.remove("Secret", "second-key")
    await made.run_until(lambda: made.serves("primary"))
    assert made.state("second") == "Ineligible"
    assert made.endpoint("second").asked_at == []
    made.endpoint("primary").mood = Mood.GONE
    await made.run_until(lambda: made.shares() == {"third": 100})
    made.cluster.add(secret("second-key", **{"api-key": key_of("second")}))
    await made.run_until(lambda: made.state("second") == "Healthy")
    await made.stop()


async def test_a_key_that_is_replaced_is_used_at_once() -> None:
    made = ModelHarness(routes=(model_route(probe={"intervalSeconds": 30}),))
    await made.run_until(lambda: made.serves("primary"))
    made.endpoint("second").key = "sk-second-new"
    await made.run_until(lambda: made.state("second") == "Refused")
    data = secret("second-key", **{"api-key": "sk-second-new"})["data"]
    made.cluster.edit("Secret", "second-key", lambda o: o.update(data=data))
    asked = len(made.endpoint("second").asked_at)
    await made.run(2)
    assert len(made.endpoint("second").asked_at) == asked + 1
    await made.run_until(lambda: made.state("second") == "Healthy")
    assert made.shares() == {"primary": 100}
    await made.stop()


async def test_pods_are_poked_so_that_a_switch_takes_no_minute() -> None:
    made = ModelHarness()
    await made.run_until(lambda: made.serves("primary"))
    await made.run(20)
    made.endpoint("primary").mood = Mood.GONE
    await made.run_until(lambda: made.shares() == {"second": 100})
    began = made.now
    await made.run_until(lambda: made.serves("second"))
    assert (made.now - began).total_seconds() < 4
    pods = [p for p in made.cluster.all("Pod") if ANNOTATION_CONFIG in (p["metadata"].get("annotations") or {})]
    assert [p["metadata"]["name"] for p in pods] == ["litellm-0", "litellm-1"]
    # A pod that comes later is asked, and poked, as well.
    made.gateways.add_proxy("litellm-2", NAME, key="sk-gateway-canary", app="litellm")
    await made.run_until(lambda: len(made.status().replicas) == 3, limit=90)
    assert (NAMESPACE, NAME) in made.loops
    await made.stop()
