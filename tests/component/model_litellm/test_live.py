"""What the operator writes reaches requests through running proxies: order, weights, models, with no restart."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx
import pytest

from hack.rig.litellm import MASTER_KEY, LiteLlm, proxies
from hack.rig.postgres_base import free_port
from sophia_operator.adapters.models import HttpModels
from sophia_operator.core.model.render.litellm import TABLE_KEY, litellm_data
from sophia_operator.core.model.targets import replica_request
from sophia_operator.core.model.views import GatewayPod, ModelRouteObserved, ModelRouteView
from tests.support.litellm_route import Answer, ask, model, route
from tests.support.openai_server import OpenAiServer

pytestmark = pytest.mark.timeout(400)

_KEY = "sk-primary"
_HOSTS = ("127.0.0.1", "127.0.0.2")


async def test_what_is_written_reaches_running_proxies(tmp_path: Path, subtests: pytest.Subtests) -> None:
    async with (
        OpenAiServer("primary", api_key=_KEY) as primary,
        OpenAiServer("standby") as standby,
        OpenAiServer("spare") as spare,
        httpx.AsyncClient(timeout=30) as client,
    ):
        models = [model("primary", primary.url, key=True), model("standby", standby.url)]
        proxy, other = _proxies(tmp_path)
        data = litellm_data(route(models, {"primary": 100}, fallbacks=["standby"]))
        with proxies([proxy, other], data):
            with subtests.test("models are listed before the first request, and the route among them"):
                assert await _listed(client, proxy) == {"chat", "chat/primary", "chat/standby"}

            with subtests.test("the first request is answered by the chosen model, with its own key and name"):
                assert await ask(client, proxy) == _by("primary", 1, await ask(client, proxy))
                assert primary.counters.last_body["model"] == "gpt-primary"

            with subtests.test("a changed order counts from the next request on"):
                for number in range(2, 22):
                    chosen = "standby" if number % 2 == 0 else "primary"
                    data = litellm_data(route(models, {chosen: 100}, revision=number))
                    proxy.mount(data)
                    found = await ask(client, proxy)
                    assert (found.server, found.model, found.revision) == (chosen, chosen, str(number))

            with subtests.test("shares are kept"):
                proxy.mount(litellm_data(route(models, {"primary": 75, "standby": 25}, revision=30)))
                # A few at a time: a proxy of one process on a busy machine makes the last of many wait too long.
                answers = [a for _ in range(20) for a in await asyncio.gather(*(ask(client, proxy) for _ in range(10)))]
                served = Counter(answer.server for answer in answers)
                assert set(served) == {"primary", "standby"}
                # Four standard deviations.
                assert 25 <= served["standby"] <= 75
                assert all(answer.model == answer.server and answer.revision == "30" for answer in answers)

            with subtests.test("a request may want a model first, whatever serves"):
                assert (await ask(client, proxy, "chat/standby")).server == "standby"
                standby.control(error_rate=1.0)
                fallen = await ask(client, proxy, "chat/standby")
                assert (fallen.server, fallen.model) == ("primary", "primary")
                standby.control(error_rate=0.0)

            with subtests.test("a model that is added serves at once, and one that is removed is not known any more"):
                models = [models[0], model("spare", spare.url)]
                proxy.mount(litellm_data(route(models, {"spare": 100}, revision=31)))
                assert (await ask(client, proxy)).server == "spare"
                assert await _listed(client, proxy) == {"chat", "chat/primary", "chat/spare"}

            with subtests.test("an endpoint that moved is asked at its new place"):
                models = [models[0], model("spare", standby.url)]
                proxy.mount(litellm_data(route(models, {"spare": 100}, revision=32)))
                found = await ask(client, proxy)
                assert (found.server, found.model) == ("standby", "spare")

            with subtests.test("a request for a model that is gone gets the route's choice"):
                assert (await ask(client, proxy, "chat/standby")).model == "spare"

            with subtests.test("a broken table changes nothing, is told once, and the next good one counts"):
                good = litellm_data(route(models, {"primary": 100}, revision=33))
                for text in (good[TABLE_KEY][:-40], "", good[TABLE_KEY].replace('"primary": 100', '"gone": 100')):
                    proxy.mount(good | {TABLE_KEY: text})
                    for _ in range(3):
                        assert (await ask(client, proxy)).revision == "32"
                assert proxy.log.count("revision 32 stays") == 3
                proxy.mount(good)
                assert (await ask(client, proxy)).revision == "33"

            with subtests.test("requests for what is not of the route are none of the hook's business"):
                foreign = await ask(client, proxy, "foreign")
                assert (foreign.status, foreign.revision, foreign.model) == (400, None, None)

            with subtests.test("a route without a choice says so"):
                proxy.mount(litellm_data(route(models, {}, revision=34)))
                refused = await ask(client, proxy)
                assert refused.status == 503
                assert "no model of chat serves yet" in refused.text

            with subtests.test("each proxy proves for itself by what it serves"):
                told = route(models, {"primary": 100}, revision=35, port=proxy.port)
                for one in (proxy, other):
                    one.mount(litellm_data(told))
                assert await _proved(told) == {"litellm-0": (35, "primary"), "litellm-1": (35, "primary")}
                told = route(models, {"spare": 100}, revision=36, port=proxy.port)
                proxy.mount(litellm_data(told))
                assert await _proved(told) == {"litellm-0": (36, "spare"), "litellm-1": (35, "primary")}
                other.mount(litellm_data(told))
                assert await _proved(told) == {"litellm-0": (36, "spare"), "litellm-1": (36, "spare")}

            with subtests.test("requests under way while it changes all get an answer"):
                lost = await _changing(client, proxy, [litellm_data(route(models, {m["name"]: 100})) for m in models])
                assert lost == 0

        assert _KEY not in json.dumps(data)
        assert _KEY not in proxy.log


async def _proved(told: ModelRouteView) -> dict[str, tuple[int | None, str | None]]:
    """What marked requests show of each proxy."""
    pods = tuple(GatewayPod(f"litellm-{i}", host, ready=True) for i, host in enumerate(_HOSTS))
    request = replica_request(told, ModelRouteObserved(gateway_key=MASTER_KEY, pods=pods))
    assert request is not None
    models = HttpModels()
    found = await models.replicas(request)
    await models.close()
    assert not isinstance(found, str)
    return {finding.name: (finding.revision, finding.model) for finding in found}


async def _changing(client: httpx.AsyncClient, proxy: LiteLlm, tables: list[dict[str, str]]) -> int:
    """Send 200 requests while the table changes with every fifth; how many were not answered."""
    lost = 0
    for batch in range(40):
        asked = [asyncio.create_task(ask(client, proxy)) for _ in range(5)]
        await asyncio.to_thread(proxy.mount, tables[batch % len(tables)])
        lost += sum(answer.status != 200 for answer in await asyncio.gather(*asked))
    return lost


async def _listed(client: httpx.AsyncClient, proxy: LiteLlm) -> set[str]:
    answer = await client.get(f"{proxy.url}/v1/models", headers={"authorization": f"Bearer {MASTER_KEY}"})
    return {found["id"] for found in answer.json()["data"]}


def _by(name: str, revision: int, like: Answer) -> Answer:
    return Answer(200, str(revision), name, f"shop/chat/{name}", name, like.text)


def _proxies(parent: Path) -> list[LiteLlm]:
    """Two, at the same port of different addresses, as pods are."""
    port, found = free_port(), list[LiteLlm]()
    for host in _HOSTS:
        (parent / host).mkdir()
        found.append(LiteLlm(parent / host, {"MODEL_KEY_CHAT__PRIMARY": _KEY}, port=port, host=host))
    return found
