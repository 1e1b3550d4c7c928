"""Redis Streams on real servers: what an entry holds, how many are kept, and what is said when there is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from hack.rig.redis import RedisServer, server
from hack.rig.redis_base import ADMIN, ADMIN_PASSWORD, Flavor
from hack.rig.waiting import until
from sophia_operator.adapters.signals import OutsideSignals
from sophia_operator.core.recovery.signal_request import SignalRequest, StreamPlace

LIMIT = 100


@pytest.fixture(scope="module", params=list(Flavor))
def redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with server(request.param) as running:
        yield running


@pytest.fixture
async def signals() -> AsyncIterator[OutsideSignals]:
    made = OutsideSignals()
    yield made
    await made.close()


def url(running: RedisServer, password: str = ADMIN_PASSWORD, path: str = "", scheme: str = "redis") -> str:
    return f"{scheme}://{ADMIN}:{password}@{running.host}:{running.port}{path}"


def request(
    where: str, number: int = 1, seconds: float = 5.0, stream: str = "sophia:recovery", ca: str | None = None
) -> SignalRequest:
    body = json.dumps({"id": f"uid/{number}", "specversion": "1.0"}).encode()
    place = StreamPlace(where, stream, LIMIT, ca)
    return SignalRequest(f"uid/{number}", "ai.sophia.recovery.failed", body, place, seconds)


def entries(running: RedisServer, database: int = 0, stream: str = "sophia:recovery") -> list[dict[str, Any]]:
    with running.client(decode_responses=True, db=database) as client:
        return [fields for _, fields in client.xrange(stream)]


async def test_a_signal_is_one_entry(signals: OutsideSignals, redis: RedisServer) -> None:
    redis.call("FLUSHALL")
    assert await signals.send(request(url(redis))) is None
    (entry,) = entries(redis)
    assert (entry["id"], entry["type"]) == ("uid/1", "ai.sophia.recovery.failed")
    assert json.loads(entry["event"]) == {"id": "uid/1", "specversion": "1.0"}


async def test_the_database_of_the_address_is_used(signals: OutsideSignals, redis: RedisServer) -> None:
    redis.call("FLUSHALL")
    assert await signals.send(request(url(redis, path="/3"))) is None
    assert (len(entries(redis)), len(entries(redis, 3))) == (0, 1)


async def test_about_as_many_entries_are_kept_as_was_said(signals: OutsideSignals, redis: RedisServer) -> None:
    redis.call("FLUSHALL")
    for number in range(LIMIT * 4):
        assert await signals.send(request(url(redis), number)) is None
    kept = entries(redis)
    assert LIMIT <= len(kept) <= LIMIT * 2
    assert kept[-1]["id"] == f"uid/{LIMIT * 4 - 1}"


async def test_no_connection_is_left_over(signals: OutsideSignals, redis: RedisServer) -> None:
    for number in range(5):
        await signals.send(request(url(redis), number))
    await asyncio.sleep(0)  # the loop cuts what was given up
    until("connections to go", lambda: b"name=sophia-operator" not in bytes(redis.call("CLIENT", "LIST")), seconds=5)


async def test_a_wrong_password_is_said_and_not_shown(signals: OutsideSignals, redis: RedisServer) -> None:
    said = await signals.send(request(url(redis, "another%40password")))
    assert said is not None
    assert "WRONGPASS" in said or "invalid username-password" in said
    assert "another" not in said


async def test_a_key_that_is_no_stream_is_said(signals: OutsideSignals, redis: RedisServer) -> None:
    redis.call("SET", "taken", "x")
    said = await signals.send(request(url(redis), stream="taken"))
    assert said is not None
    assert "WRONGTYPE" in said or "wrong kind of value" in said


async def test_a_server_that_hangs_costs_its_time_limit(signals: OutsideSignals, redis: RedisServer) -> None:
    redis.suspend()
    try:
        said = await signals.send(request(url(redis), seconds=0.3))
    finally:
        redis.resume()
    assert said == "no answer within 0.3 s"


async def test_nobody_listens(signals: OutsideSignals, redis: RedisServer) -> None:
    assert await signals.send(request("redis://127.0.0.1:1/0")) == "the connection is refused"


@pytest.mark.parametrize(
    "where", ["", "http://127.0.0.1/", "redis://", "redis://h:x/0", "redis://h/one", "redis://h:99999", "redis://[::1"]
)
async def test_addresses_that_are_none(signals: OutsideSignals, where: str) -> None:
    said = await signals.send(request(where))
    assert said is not None
    assert "rediss://user:password@host:6379/0" in said


async def test_metadata_services_are_no_receivers(redis: RedisServer) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["169.254.169.254"]

    made = OutsideSignals(resolve=resolve)
    said = await made.send(request(url(redis)))
    assert said is not None
    assert "where no receiver is" in said
    await made.close()


@pytest.mark.parametrize("flavor", list(Flavor))
async def test_rediss_speaks_tls_and_verifies(signals: OutsideSignals, flavor: Flavor) -> None:
    with server(flavor, tls=True) as running:
        assert await signals.send(request(url(running, scheme="rediss"), ca=running.ca)) is None
        assert len(entries(running)) == 1
        for bad, part in (
            (request(url(running, scheme="rediss")), "certificate"),
            (request(url(running, scheme="rediss"), ca="what is this"), "the certificates of the CA cannot be read"),
            (request(url(running)), "speaks TLS"),
            (request(url(running), ca=running.ca), "does not begin with rediss://"),
        ):
            said = await signals.send(bad)
            assert said is not None
            assert part in said
        assert len(entries(running)) == 1
