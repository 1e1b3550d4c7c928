"""Where signals go: addresses and keys in Secrets, faults, and processes that were deposed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sophia_operator.core.recovery.signal_request import SignalRequest, StreamPlace, WebhookPlace
from sophia_operator.runtime.recovery.fence import DEPOSED, FencedSignals
from tests.support import signal_scene as scene
from tests.support.signal_world import Answer, Receivers, Secrets, World


def secret(name: str = "hooks", key: str = "url") -> dict[str, str]:
    return {"name": name, "key": key}


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (lambda _: None, "Secret shop/hooks, named in spec.signals[pager].webhook.urlSecretRef, is missing"),
        (
            lambda secrets: secrets.put("hooks", other="x"),
            "has no key url (spec.signals[pager].webhook.urlSecretRef.key)",
        ),
        (lambda secrets: secrets.put("hooks", url=" \n"), "has only blanks in its key url"),
    ],
)
async def test_secrets_that_are_missing_are_said(put: Callable[[Secrets], None], said: str) -> None:
    world = World({"name": "pager", "webhook": {"urlSecretRef": secret()}})
    put(world.secrets)
    world.write("Claimed")
    await world.settle()
    told = world.condition()
    assert told is not None
    assert said in told[1]
    world.secrets.put("hooks", url="https://pager.example/hook\n")
    await world.pass_time(10)
    assert world.receivers.told == [("pager", "uid-act/2")]


async def test_addresses_and_keys_come_from_secrets_as_they_are_now() -> None:
    hook = {"urlSecretRef": secret(), "hmacSecretRef": secret(key="key"), "format": "Slack", "timeoutSeconds": 9}
    stream = {"urlSecretRef": secret(key="redis"), "stream": "s", "maxLength": 50}
    world = World({"name": "chat", "webhook": hook}, {"name": "log", "redisStream": stream})
    places = {"url": "https://chat.example/hook\n", "redis": "rediss://log.example/1"}
    world.secrets.put("hooks", **places, key="old\n")
    world.write("Claimed")
    await world.settle()
    world.secrets.put("hooks", **places, key="new")
    world.write("Succeeded")
    await world.settle()
    by_hook = [r for r in world.receivers.requests if isinstance(r.to, WebhookPlace)]
    assert [r.to for r in by_hook] == [
        WebhookPlace("https://chat.example/hook", "application/json; charset=utf-8", key) for key in (b"old", b"new")
    ]
    assert by_hook[0].timeout_seconds == 9
    assert "blocks" in json.loads(by_hook[0].body)
    by_stream = [r.to for r in world.receivers.requests if not isinstance(r.to, WebhookPlace)]
    assert by_stream == [StreamPlace("rediss://log.example/1", "s", 50)] * 2
    assert (world.count("Delivered", "Slack"), world.count("Delivered", "RedisStream")) == (2, 2)
    assert not any("chat.example" in repr(r) or "log.example" in repr(r) for r in world.receivers.requests)


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


async def test_certificates_come_from_secrets_too() -> None:
    hook = {"url": "https://chat.example", "caSecretRef": {"name": "authority"}}
    stream = {"urlSecretRef": secret(), "caSecretRef": secret("authority", "redis.pem")}
    world = World({"name": "chat", "webhook": hook}, {"name": "log", "redisStream": stream})
    world.secrets.put("hooks", url="rediss://log.example/0")
    world.secrets.put("authority", **{"ca.crt": f"{CERTIFICATE}\n", "redis.pem": f"# of Redis\n{CERTIFICATE}"})
    world.write("Claimed")
    await world.settle()
    found = {type(r.to): r.to.ca for r in world.receivers.requests}
    assert found == {WebhookPlace: CERTIFICATE, StreamPlace: f"# of Redis\n{CERTIFICATE}"}


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({}, "has no key ca.crt (spec.signals[chat].webhook.caSecretRef.key)"),
        (
            {"ca.crt": "MIIB"},
            "shop/authority, key ca.crt (spec.signals[chat].webhook.caSecretRef), is not in PEM form: correct it",
        ),
    ],
)
async def test_nothing_is_sent_while_certificates_are_missing(held: dict[str, str], said: str) -> None:
    hook = {"url": "https://chat.example", "caSecretRef": {"name": "authority"}}
    world = World({"name": "chat", "webhook": hook})
    world.secrets.put("authority", **held)
    world.write("Claimed")
    await world.settle()
    assert said in (world.condition() or ("", ""))[1]
    assert world.receivers.requests == []


async def test_a_fault_in_the_operator_ends_no_queue() -> None:
    class Broken(Receivers):
        async def send(self, request: SignalRequest) -> Answer:
            self.told.append(("broken", request.id))
            if len(self.told) == 1:
                raise RuntimeError("a fault")
            return None

    world = World(scene.hook(), receivers=Broken())
    world.write("Claimed")
    await world.settle()
    assert "something is wrong in the operator" in (world.condition() or ("", ""))[1]
    await world.pass_time(10)
    assert world.write().status.untold == []


async def test_nothing_is_sent_without_the_lease() -> None:
    receivers, certain = Receivers(), False
    fenced = FencedSignals(receivers, lambda: certain)
    request = SignalRequest("a", "b", b"", WebhookPlace("https://x.example", ""), 1.0)
    assert await fenced.send(request) == DEPOSED
    assert receivers.told == []
    certain = True
    assert await fenced.send(request) is None
    assert receivers.told == [("x", "a")]
