"""What a route reads of Secrets, and that what one model lacks concerns no other."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.conditions import Reason
from sophia_operator.core.model.views import ModelAccess
from sophia_operator.ports import ClusterError
from sophia_operator.runtime.models.access import RouteAccessReader, RouteFound, secrets_of
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Feed, Wakeups
from tests.support.fake_cluster import FakeCluster, Fault
from tests.support.model_routes import GATEWAY_KEY, http_route, key_of, keys, model, model_route, secret, view

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


class Rig:
    def __init__(self, *objects: dict[str, Any]) -> None:
        self.cluster, self.store = FakeCluster(), ObjectStore()
        for obj in objects:
            self.cluster.add(obj)
        feed = Feed(self.store, Wakeups())
        self.cluster.watch(feed)
        self.reader = RouteAccessReader(self.cluster, self.store, feed.seen)

    async def read(self, **spec: Any) -> RouteFound:
        return await self.reader.read(view(model_route(**spec)))

    @property
    def reads(self) -> int:
        return sum(call.verb == "get" for call in self.cluster.calls)


async def test_each_model_has_its_key_and_secrets_are_read_once() -> None:
    rig = Rig(*keys())
    found = await rig.read()
    assert {name: a.api_key for name, a in found.access.items()} == {
        name: key_of(name) for name in ("primary", "second", "third")
    }
    assert (found.gateway_key, found.missing, found.blockers) == (GATEWAY_KEY, {}, ())
    reads = rig.reads
    await rig.read()
    assert rig.reads == reads
    rig.cluster.edit("Secret", "second-key", lambda o: o.update(data=secret("x", **{"api-key": "new"})["data"]))
    assert (await rig.read()).access["second"].api_key == "new"
    assert rig.reads == reads + 1


async def test_a_model_that_asks_for_no_key_needs_no_secret() -> None:
    found = await Rig().reader.read(view(http_route()))
    assert found.access == {"primary": ModelAccess(), "second": ModelAccess()}
    assert secrets_of(view(http_route())) == frozenset()


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (None, Reason.SECRET_NOT_FOUND, "Secret shop/second-key, named in spec.models[second].credentialsSecretRef"),
        ({"other": "x"}, Reason.SECRET_KEY_MISSING, "has no key api-key"),
        ({"api-key": ""}, Reason.SECRET_KEY_MISSING, "has nothing in its key api-key"),
        ({"api-key": "one\ntwo"}, Reason.SECRET_KEY_MISSING, "holds what no key of an API is"),
        ({"api-key": " \n"}, Reason.SECRET_KEY_MISSING, "holds what no key of an API is"),
        ({"api-key": "sk-ключ"}, Reason.SECRET_KEY_MISSING, "holds what no key of an API is"),
    ],
)
async def test_what_one_model_lacks_is_said_of_it_alone(
    content: dict[str, str] | None, reason: Reason, words: str
) -> None:
    others = [s for s in keys() if s["metadata"]["name"] != "second-key"]
    found = await Rig(*others, *([secret("second-key", **content)] if content is not None else [])).read()
    assert sorted(found.access) == ["primary", "third"]
    assert (list(found.missing), found.missing["second"].reason, found.blockers) == (["second"], reason, ())
    assert words in found.missing["second"].message
    assert not content or not any(value.strip() and value in str(found) for value in content.values())


async def test_a_line_break_behind_a_key_is_none_of_it() -> None:
    found = await Rig(secret("a-key", **{"api-key": "sk-1\n"})).read(
        models=[model("a")], gateway={"liteLLM": {"selector": {"app": "x"}}}
    )
    assert found.access["a"].api_key == "sk-1"


async def test_certificates_are_read_and_looked_at() -> None:
    trusted = model("a", endpoint={"url": "https://a.example.com/v1", "caSecretRef": {"name": "ca"}})
    spec = {"models": [trusted], "gateway": {"liteLLM": {"selector": {"app": "x"}}}}
    key = secret("a-key", **{"api-key": "sk-1"})
    found = await Rig(key, secret("ca", **{"ca.crt": CA})).read(**spec)
    assert found.access["a"].ca == CA
    found = await Rig(key, secret("ca", **{"ca.crt": "none"})).read(**spec)
    assert (found.access, "is not in PEM form" in found.missing["a"].message) == ({}, True)


async def test_without_the_gateways_key_models_are_asked_all_the_same() -> None:
    found = await Rig(*keys()[:3]).read()
    assert (len(found.access), found.missing, found.gateway_key) == (3, {}, None)
    assert [b.reason for b in found.blockers] == [Reason.SECRET_NOT_FOUND]


async def test_what_the_api_server_forbids_is_said_of_the_model_and_what_passes_is_raised() -> None:
    rig = Rig(*keys())
    rig.cluster.hook = lambda call: Fault.FORBIDDEN if call.name == "second-key" else None
    found = await rig.read()
    assert sorted(found.access) == ["primary", "third"]
    assert found.missing["second"].reason is Reason.API_ERROR
    rig.cluster.hook = lambda call: Fault.UNAVAILABLE if call.name == "second-key" else None
    with pytest.raises(ClusterError):
        await rig.read()


async def test_no_key_is_shown() -> None:
    found = await Rig(*keys()).read()
    assert "canary" not in repr(found)
