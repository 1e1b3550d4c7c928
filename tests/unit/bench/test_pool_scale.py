"""The benchmark of many pools runs, small, and what stands in for servers and instances is taken for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench import figures, pool_scale
from bench.pool_standin import DATABASE, Answers, instance_address, listening, server_address
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.api.connection_pool import SslMode
from sophia_operator.core.pool import names
from sophia_operator.core.pool.findings import Console, InstanceRequest, Server, ServerRequest, Through
from tests.support.apiserver import apiserver as apiserver  # noqa: PLC0414 - a fixture, handed on by its name


async def test_the_stand_in_is_taken_for_a_server_and_an_instance() -> None:
    answers = Answers()
    server, instance = server_address(259), instance_address(599)
    answers.markers[instance] = "0f3a"
    pools = PostgresPools()
    async with listening([server, instance], answers):
        found = await pools.server(ServerRequest(server, names.PORT, DATABASE, SslMode.PREFER, "app", "pw"))
        assert isinstance(found, Server), found
        request = InstanceRequest(
            "i", instance, names.PORT, DATABASE, names.CHECK_DATABASE, names.ADMIN, "pw", full=True
        )
        console, through = await pools.instance(request)
        assert isinstance(console, Console), console
        assert isinstance(through, Through), through
        assert (console.config_hash, console.servers_idle, len(console.connections)) == ("0f3a", 4, 5)
        assert (through.role, through.identity) == (found.role, found.identity)
        assert answers.logins == 3
        await pools.close()


@pytest.mark.apiserver
def test_pool_scale(
    capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch, apiserver: Any
) -> None:
    del apiserver  # it provides the programs beforehand
    monkeypatch.setattr(figures, "OUT", tmp_path)
    found = pool_scale.run(replace(pool_scale.QUICK, pools=4, per_server=2), print)
    settled = found["settled"]
    assert settled["writes"] == {}
    assert settled["unhealthy"] == settled["failedPasses"] == 0
    assert settled["passesPerSecond"] > 0.2
    # One of the server, and one of each console.
    assert settled["connections"] == 4 * (1 + 2)
    assert "4 pools of 2 instances" in capsys.readouterr().out
