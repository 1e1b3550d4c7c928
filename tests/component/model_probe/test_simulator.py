"""The server that stands in for models: what tests and images rely on."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.support import openai_server
from tests.support.openai_server import OpenAiServer

ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say ready, please."}]}


async def complete(client: httpx.AsyncClient, url: str, **more: Any) -> httpx.Response:
    return await client.post(f"{url}/chat/completions", json=ASKED | more)


async def test_each_answer_says_which_server_gave_it(server: OpenAiServer) -> None:
    async with httpx.AsyncClient() as client:
        found = (await complete(client, server.url)).json()
        assert found["choices"][0]["message"]["content"] == "primary is ready to answer."
        assert (found["model"], found["system_fingerprint"]) == ("gpt-4o-mini-primary", "primary")
        assert found["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}
        streamed = (await complete(client, server.url, stream=True, max_tokens=2)).text
        *events, last, rest = streamed.split("\n\n")
        assert (last, rest) == ("data: [DONE]", "")
        chunks = [json.loads(event.removeprefix("data: ")) for event in events]
        assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == "primary is"
        assert {c["model"] for c in chunks} == {"gpt-4o-mini-primary"}
        assert chunks[-1]["choices"][0]["finish_reason"] == "length"
        assert [m["id"] for m in (await client.get(f"{server.url}/models")).json()["data"]] == ["gpt-4o-mini"]
        assert (await complete(client, server.url, model="other")).status_code == 404
        # Connections are kept, streams included.
        assert server.counters.connections == 1


async def test_errors_are_spread_evenly(server: OpenAiServer) -> None:
    server.control(error_rate=0.3, status=503)
    async with httpx.AsyncClient() as client:
        found = Counter([(await complete(client, server.url)).status_code for _ in range(50)])
    assert found == {200: 35, 503: 15}


async def test_it_is_controlled_and_counted_over_http(server: OpenAiServer) -> None:
    control = server.url.removesuffix("/v1") + "/control"
    async with httpx.AsyncClient(headers={"authorization": "Bearer sk-1", "x-sophia-mark": "m1"}) as client:
        assert (await client.post(control, json={"api_key": "sk-1"})).status_code == 200
        await complete(client, server.url)
        told = (await client.get(control)).json()
        assert (told["name"], told["requests"], told["marks"]) == ("primary", 1, {"m1": 1})
        assert told["settings"]["api_key"] is True
        assert "authorization" not in told["last_headers"]
        assert "sk-1" not in json.dumps(told)
        for wrong in ('{"color": 1}', '{"fault": "no such"}', "[]", "7", "{"):
            assert (await client.post(control, content=wrong)).status_code == 400
        again = (await client.post(control, json={"reset": True, "fault": "error_body"})).json()
        assert (again["requests"], again["settings"]["fault"]) == (0, "error_body")
        assert "error" in (await complete(client, server.url)).json()


@pytest.mark.timeout(60)
async def test_it_runs_as_a_program_of_one_file() -> None:
    assert openai_server.__file__ is not None
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", openai_server.__file__,
        "--host", "127.0.0.1", "--port", "0", "--name", "standby", "--set", 'models=["a"]', "--set", "tokens=2",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("standby answers at 127.0.0.1:")
        async with httpx.AsyncClient() as client:
            url = f"http://{line.split()[-1]}/v1"
            found = (await complete(client, url, model="a")).json()
        assert found["choices"][0]["message"]["content"] == "standby is"
    finally:
        process.kill()
        await process.wait()
