"""Models that fail behind a running proxy: who answers in their place, what clients see, and what is counted."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from pathlib import Path
from typing import Final

import httpx
import pytest

from hack.rig.litellm import LiteLlm, proxies
from sophia_operator.core.model.litellm_series import (
    FAILED_STATUSES,
    FAILURES,
    GROUP_LABEL,
    LATENCY_BUCKET,
    MODEL_LABEL,
    REFUSALS,
    REFUSED_STATUS,
    STATUS_LABEL,
    SUCCESSES,
    deployment_id,
    group,
)
from sophia_operator.core.model.render.litellm import litellm_data
from tests.support.litellm_route import NAMESPACE, ROUTE, ask, model, route
from tests.support.openai_server import OpenAiServer

pytestmark = pytest.mark.timeout(400)

_TIMEOUT: Final = 3
_SAMPLE: Final = re.compile(r"^(\w+)\{(.*)\} ([0-9.e+]+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


async def test_models_that_fail_behind_a_proxy(tmp_path: Path, subtests: pytest.Subtests) -> None:
    async with (
        OpenAiServer("primary", api_key="sk-primary") as primary,
        OpenAiServer("standby") as standby,
        httpx.AsyncClient(timeout=30) as client,
    ):
        models = [model("primary", primary.url, key=True), model("standby", standby.url)]
        # No key of the environment may reach a model that it was not given to.
        proxy = LiteLlm(tmp_path, {"MODEL_KEY_CHAT__PRIMARY": "sk-primary", "OPENAI_API_KEY": "sk-of-nobody"})
        table = {"shares": {"primary": 100}, "fallbacks": ["standby"], "timeout_seconds": _TIMEOUT}
        # Each change gives the models other settings, and so ends what a proxy remembers of them.
        with proxies([proxy], litellm_data(route(models, **table))):  # type: ignore[arg-type]

            async def sent(count: int, *, stream: bool = False) -> Counter[str | None]:
                """Who answered requests, where headers agree with that."""
                answers = [await ask(client, proxy, stream=stream) for _ in range(count)]
                assert all((answer.status, answer.revision) == (200, "1") for answer in answers)
                assert all(answer.model == answer.server for answer in answers)
                return Counter(answer.server for answer in answers)

            with subtests.test("each request that fails is answered by the next model, and the first one asked again"):
                primary.control(error_rate=1.0)
                assert await sent(6) == {"standby": 6}
                assert await sent(2, stream=True) == {"standby": 2}
                assert primary.counters.statuses == {500: 8}

            with subtests.test("failures are counted where they happened, before another model hid them"):
                counted = Counter({(FAILURES, "primary"): 8, (SUCCESSES, "standby"): 8, (LATENCY_BUCKET, "standby"): 8})
                assert await _settled(client, proxy, counted) == counted

            with subtests.test("a refused connection is a failure too"):
                primary.control(error_rate=0.0, fault="close")
                assert await sent(2) == {"standby": 2}
                counted += Counter(
                    {(FAILURES, "primary"): 2, (SUCCESSES, "standby"): 2, (LATENCY_BUCKET, "standby"): 2}
                )
                assert await _settled(client, proxy, counted) == counted

            with subtests.test(
                "a stream that breaks before its first piece is given by the next model; headers say so"
            ):
                primary.control(fault="no_json")
                assert await sent(2, stream=True) == {"standby": 2}

            with subtests.test("when all fail, the client gets the error, and the revision without a model"):
                primary.control(fault=None, error_rate=1.0)
                standby.control(error_rate=1.0)
                failed = await ask(client, proxy)
                assert (failed.status, failed.revision, failed.model) == (500, "1", None)
                primary.control(error_rate=0.0)
                standby.control(error_rate=0.0)
                assert await sent(1) == {"primary": 1}

            with subtests.test("a limited model is left alone for as long as it asks for, and no failure is counted"):
                before = await _counted(client, proxy)
                primary.control(error_rate=1.0, status=429, retry_after="3")
                primary.counters.requests = 0
                assert await sent(4) == {"standby": 4}
                assert primary.counters.requests == 1
                primary.control(error_rate=0.0, status=500, retry_after=None)
                began = time.monotonic()
                while (await sent(1))["primary"] == 0:
                    assert time.monotonic() - began < 30
                after = await _settled(client, proxy, before + Counter({(SUCCESSES, "primary"): 1}))
                assert after[FAILURES, "primary"] == before[FAILURES, "primary"]
                # Those that were sent nowhere are no failures of a model either.
                assert after[FAILURES, "standby"] == before[FAILURES, "standby"]

            with subtests.test("a model that hangs costs two clients the timeout, and is left alone then"):
                before = await _counted(client, proxy)
                primary.control(fault="hang")
                primary.counters.requests = 0
                began = time.monotonic()
                assert await sent(6) == {"standby": 6}
                assert time.monotonic() - began >= 2 * _TIMEOUT
                assert primary.counters.requests == 2
                wanted = before + Counter({(FAILURES, "primary"): 2, (SUCCESSES, "standby"): 6})
                assert (await _settled(client, proxy, wanted))[FAILURES, "primary"] == wanted[FAILURES, "primary"]

        with subtests.test("a model whose key is missing gets none, and the log says which one"):
            primary.control(fault=None)
            proxy.environment = {"OPENAI_API_KEY": "sk-of-nobody"}
            with proxies([proxy], litellm_data(route(models, **table))):  # type: ignore[arg-type]
                assert await sent(2) == {"standby": 2}
                assert primary.counters.statuses[401] >= 1
                assert proxy.log.count("the environment has no MODEL_KEY_CHAT__PRIMARY") == 1
                counted = Counter(dict.fromkeys(((series, "primary") for series in REFUSALS[:1]), 2))
                assert await _settled(client, proxy, counted) == counted
        assert "sk-of-nobody" not in proxy.log


async def _settled(
    client: httpx.AsyncClient, proxy: LiteLlm, wanted: Counter[tuple[str, str]]
) -> Counter[tuple[str, str]]:
    """Counts once they are no lower than `wanted`, or after a while: a proxy counts after it has answered."""
    end = time.monotonic() + 15
    while not (found := await _counted(client, proxy)) >= wanted and time.monotonic() < end:
        await asyncio.sleep(0.1)
    return found


async def _counted(client: httpx.AsyncClient, proxy: LiteLlm) -> Counter[tuple[str, str]]:
    """Counts by series and model, as the operator's queries take them; Prometheus asks without a key."""
    text = (await client.get(f"{proxy.url}/metrics/")).text
    names = {deployment_id(NAMESPACE, ROUTE, name): name for name in ("primary", "standby")}
    names |= {group(ROUTE, name): name for name in ("primary", "standby")}
    found: Counter[tuple[str, str]] = Counter()
    for series, pairs, value in _SAMPLE.findall(text):
        labels = dict(_LABEL.findall(pairs))
        is_counted = {
            SUCCESSES: True,
            FAILURES: re.fullmatch(FAILED_STATUSES, labels.get(STATUS_LABEL, "")) is not None,
            LATENCY_BUCKET: labels.get("le") == "+Inf",
            **dict.fromkeys(REFUSALS, labels.get(STATUS_LABEL) == REFUSED_STATUS),
        }.get(series, False)
        subject = labels.get(GROUP_LABEL if series in REFUSALS else MODEL_LABEL)
        if is_counted and subject in names:
            found[series, names[subject]] += int(float(value))
    return found
