"""What `redis.managed.parameters` takes is taken by real servers while they run, and read back as it was written."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hack.rig.redis import RedisServer, server
from hack.rig.redis_base import Flavor
from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.parameter_table import Kind
from sophia_operator.api.redis_parameters import ALLOWED, FIELDS, RESERVED
from sophia_operator.core.cache.settings import spec_settings


@pytest.fixture(scope="module", params=list(Flavor), ids=lambda f: f.value)
def running(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with server(request.param) as found:
        yield found


def _edges(kind: Kind) -> tuple[str, ...]:
    """Values at the edges of what is allowed."""
    if kind.least is not None and kind.most is not None:
        return str(kind.least), str(kind.most)
    words = re.fullmatch(r"\^\(([a-z|]+)\)\$", kind.pattern)
    return tuple(words[1].split("|")) if words is not None else ()


#: How many clients a server can have depends on the limit of open files here.
_OTHERS = {
    "maxclients": ("100", "500"),
    "timeout": ("0", "60", "99999"),
    "notify-keyspace-events": ("", "AKE", "xKE", "Kg$lshzxetd"),
}


def _wanted(name: str, value: str) -> str:
    spec = {"level": "Redis", "redis": {"managed": {"parameters": {name: value}}}}
    return spec_settings(CacheTierSpec.model_validate(spec))[name]


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_a_setting_is_taken_live_at_its_edges(running: RedisServer, name: str) -> None:
    values = _OTHERS.get(name) or _edges(ALLOWED[name])
    assert values
    for value in values:
        assert ALLOWED[name].takes(value)
        wanted = _wanted(name, value)
        running.call("CONFIG", "SET", name, wanted)
        assert running.call("CONFIG", "GET", name) == {name.encode(): wanted.encode()}


def test_what_is_refused_is_something_that_servers_know(running: RedisServer) -> None:
    """The names of the tables are spelled as Redis or Valkey spell them."""
    known = {name.decode() for name in running.call("CONFIG", "GET", "*")}
    elsewhere = {"include", "loadmodule", "rename-command", "user"}  # only in files
    of_valkey = {"primaryauth", "primaryuser"}
    strange = {*FIELDS, *RESERVED} - known - elsewhere - of_valkey
    assert strange == set()
