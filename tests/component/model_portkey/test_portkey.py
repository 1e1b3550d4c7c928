"""What a real Portkey does with the configuration that is rendered for it."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from hack.rig.portkey import gateway
from sophia_operator.core.model.render.portkey import CONFIG_HEADER, OPTION_HEADER, OVERRULING_HEADERS, options
from tests.component.model_portkey.world import KEY, World, modified, said, who
from tests.support.model_routes import portkey_route, view


async def test_the_order_changes_with_the_next_request(world: World) -> None:
    for revision, name in enumerate(["primary", "second", "primary"], 1):
        route = world.route({name: 100}, revision=revision)
        answer = await world.ask(route)

        assert (who(answer), said(route, answer)) == (name, name)


async def test_requests_are_spread_by_shares(world: World) -> None:
    route = world.route({"primary": 75, "second": 25})
    answers = [await world.ask(route) for _ in range(60)]

    counts = Counter(who(answer) for answer in answers)
    # By chance: fewer than 3 of 60 would be second's once in 60,000 runs.
    assert counts["primary"] > counts["second"] > 2
    assert [said(route, answer) for answer in answers] == [who(answer) for answer in answers]


@pytest.mark.parametrize("status", [429, 500, 503, 529])
async def test_a_model_that_fails_is_stood_in_for(world: World, status: int) -> None:
    world.primary.control(error_rate=1.0, status=status)
    route = world.route({"primary": 100})
    answer = await world.ask(route)

    assert (who(answer), said(route, answer)) == ("second", "second")
    assert world.primary.counters.requests == 1  # no retry takes time


async def test_a_model_that_is_gone_is_stood_in_for(world: World) -> None:
    await world.primary.close()

    assert who(await world.ask(world.route({"primary": 100}))) == "second"


async def test_a_model_that_hangs_is_stood_in_for_after_the_time_limit(world: World) -> None:
    world.primary.control(fault="hang")
    began = time.monotonic()
    answer = await world.ask(world.route({"primary": 100}))

    assert who(answer) == "second"
    assert 1.0 <= time.monotonic() - began < 5.0


async def test_with_two_that_serve_the_one_with_most_traffic_stands_in_for_the_other(world: World) -> None:
    route = world.route({"primary": 51, "second": 49}, fallbacks=[])
    world.second.control(error_rate=1.0)
    answers = [await world.ask(route) for _ in range(20)]

    assert {who(answer) for answer in answers} == {"primary"}
    places = {answer.headers[OPTION_HEADER] for answer in answers}
    assert places == {"config.targets[0].targets[0]", "config.targets[1].targets[1]"}
    assert {options(route)[place] for place in places} == {"primary"}


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_what_is_wrong_with_a_request_goes_back_to_the_client(world: World, status: int) -> None:
    world.primary.control(error_rate=1.0, status=status)
    route = world.route({"primary": 100})
    answer = await world.ask(route)

    assert answer.status_code == status
    assert said(route, answer) == "primary"
    assert world.second.counters.requests == 0


async def test_when_every_model_fails_the_answer_of_the_last_one_is_given(world: World) -> None:
    world.primary.control(error_rate=1.0)
    world.second.control(error_rate=1.0, status=503)
    route = world.route({"primary": 100})
    answer = await world.ask(route)

    assert (answer.status_code, said(route, answer)) == (503, "second")


async def test_a_client_chooses_a_model_and_others_stand_in_for_it(world: World) -> None:
    route = world.route({"primary": 100})
    assert who(await world.ask(route, choose="second")) == "second"

    world.second.control(error_rate=1.0)
    assert who(await world.ask(route, choose="second")) == "primary"


async def test_a_models_own_name_takes_the_place_of_what_is_asked_for(world: World) -> None:
    await world.ask(world.route({"second": 100}))

    assert world.second.counters.last_body["model"] == "second-model"


async def test_a_clients_key_goes_to_models_that_need_one(world: World) -> None:
    assert (await world.ask(world.route({"primary": 100}))).status_code == 200  # the server asks for it
    assert (await world.ask(world.route({"primary": 100}), authorization="Bearer wrong")).status_code == 401


async def test_a_clients_key_does_not_go_to_models_that_need_none(world: World) -> None:
    world.primary.control(api_key="none")  # what stands for no key

    assert (await world.ask(world.route({"primary": 100}, keyless=True))).status_code == 200


async def test_clients_cannot_have_other_hosts_asked(world: World) -> None:
    route = world.route({"primary": 100})
    elsewhere = {"x-portkey-custom-host": world.second.url, "x-portkey-provider": "openai"}
    body = {"model": "second-model", "messages": [{"role": "user", "content": "Say ready."}]}
    url = f"{world.portkey.url}/v1/chat/completions"
    key = {"authorization": f"Bearer {KEY}"}

    # What Portkey does by itself, so that this test proves something.
    unguarded = {k: v for k, v in modified(route, key).items() if k == CONFIG_HEADER} | key | elsewhere
    await world.client.post(url, json=body, headers=unguarded)
    assert (world.primary.counters.requests, world.second.counters.requests) == (0, 1)

    guarded = await world.client.post(url, json=body, headers=modified(route, key | elsewhere))
    assert who(guarded) == "primary"


async def test_a_client_cannot_have_its_key_kept_or_the_time_limit_changed(world: World) -> None:
    sent = {"x-portkey-forward-headers": "x-other", "x-portkey-request-timeout": "20000", CONFIG_HEADER: "{}"}
    world.primary.control(fault="hang")
    began = time.monotonic()
    answer = await world.ask(world.route({"primary": 100}), **sent)

    assert who(answer) == "second"
    assert time.monotonic() - began < 5.0
    assert set(sent) - {CONFIG_HEADER} <= set(OVERRULING_HEADERS)


async def test_a_stream_comes_through(world: World) -> None:
    headers = modified(world.route({"primary": 100}), {"authorization": f"Bearer {KEY}"})
    body = {"model": "chat", "stream": True, "messages": [{"role": "user", "content": "Say ready."}]}
    url = f"{world.portkey.url}/v1/chat/completions"
    async with world.client.stream("POST", url, json=body, headers=headers) as answer:
        events = [line.removeprefix("data: ") async for line in answer.aiter_lines() if line.startswith("data: ")]

    assert answer.headers[OPTION_HEADER] == "config.targets[0]"
    assert events[-1] == "[DONE]"
    told = [json.loads(event) for event in events[:-1]]
    text = "".join(c["delta"].get("content") or "" for event in told for c in event["choices"])
    assert text.startswith("primary is ready")


async def test_private_hosts_are_refused_unless_its_pods_trust_them(world: World) -> None:
    with gateway(trusted_hosts=("models.example.com",)) as strict:
        answer = await World(strict, world.primary, world.second, world.client).ask(world.route({"primary": 100}))

    assert answer.status_code == 400
    assert "Invalid custom host" in answer.text
    assert OPTION_HEADER not in answer.headers


async def test_a_service_of_the_cluster_is_no_private_host(world: World) -> None:
    services = [
        {"name": name, "model": "llama", "endpoint": {"serviceRef": {"name": name, "port": 8000}}}
        for name in ("primary", "second")
    ]
    spec = portkey_route(models=services)
    route = view(spec, shares=[{"name": "primary", "percent": 100}], fallbacks=["second"], revision=1)
    answer = await world.ask(route)

    # The name does not resolve here, which is found out only once the host was allowed.
    assert (answer.status_code, said(route, answer)) == (500, "second")
