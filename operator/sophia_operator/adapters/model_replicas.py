"""Marked requests to the replicas of a gateway for models: by which revision of what it was told does each serve?

What counts is what an answer says of itself, even when it is an error: that a model fails is for probes of it to find.
But a gateway that reaches nobody says so by a status of its own, with the headers of an answer: nobody was served.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import httpx

from sophia_operator.adapters.http_answers import read
from sophia_operator.adapters.model_faults import FAILURES, of_exception, of_status
from sophia_operator.adapters.model_hosts import HostError
from sophia_operator.api.common import DNS_LABEL_PATTERN
from sophia_operator.core.model.findings import (
    ModelFailure,
    ModelFault,
    ReplicaFinding,
    ReplicaRequest,
    ReplicaTarget,
)
from sophia_operator.core.model.names import MODEL_HEADER, REVISION_HEADER
from sophia_operator.core.model.render.portkey import OPTION_HEADER

#: All addresses of a host name, IPv4 and IPv6. Raises HostError.
Resolve = Callable[[str], Awaitable[Iterable[str]]]

_PROMPT: Final = "Answer with the word ready."
#: Of an answer that says nothing of its revision only so much is read.
_ERROR_BODY: Final = 64 * 1024
_NOBODY_REACHED: Final = (502, 503, 504)
#: So many replicas can stand behind one name.
_MOST_ADDRESSES: Final = 256
_REVISION: Final = re.compile(r"[0-9]{1,15}")
_MODEL: Final = re.compile(DNS_LABEL_PATTERN)
_LONGEST_NAME: Final = 63
#: What Portkey answers when it may not send requests to the host of a model.
_UNTRUSTED_HOST: Final = b"Invalid custom host"


async def ask(
    client: httpx.AsyncClient,
    request: ReplicaRequest,
    now: Callable[[], datetime],
    *,
    resolve: Resolve,
) -> tuple[ReplicaFinding, ...] | str:
    """Ask all replicas at once, each for one token; a string says why it is not known which replicas there are.

    `client` must follow no redirect and keep no connection: a kept one would lead to whoever was there before. Raises
    nothing for what the network or a replica does.
    """
    asked = await asyncio.gather(*(_places(target, request.timeout_seconds, resolve) for target in request.targets))
    places = list[_Place]()
    for found in asked:
        if isinstance(found, str):
            return found
        places += found
    return tuple(await asyncio.gather(*(_ask_one(client, place, request.timeout_seconds, now) for place in places)))


@dataclass(frozen=True, slots=True)
class _Place:
    """One replica, and where it is asked."""

    name: str
    address: str | None
    target: ReplicaTarget


async def _places(target: ReplicaTarget, seconds: float, resolve: Resolve) -> list[_Place] | str:
    if not target.resolve:
        return [_Place(target.name, None, target)]
    host = httpx.URL(target.base_url).host
    try:
        async with asyncio.timeout(seconds):
            found = sorted(await resolve(host))
    except TimeoutError:
        return f"dataPlane.host: {host} was not resolved within {seconds:g} s"
    except HostError as error:
        return f"dataPlane.host: {error.failure.message}: correct it, or look at the Service that it names"
    if len(found) > _MOST_ADDRESSES:
        # To ask some of them would prove nothing of the others.
        return f"dataPlane.host: {host} has {len(found)} addresses, and at most {_MOST_ADDRESSES} can be asked"
    return [_Place(address, address, target) for address in found]


async def _ask_one(
    client: httpx.AsyncClient, place: _Place, seconds: float, now: Callable[[], datetime]
) -> ReplicaFinding:
    at = now()
    try:
        async with asyncio.timeout(seconds):
            revision, model, failure = await _answer(client, place, now)
    except TimeoutError:
        revision, model = None, None
        failure = ModelFailure(ModelFault.TIMEOUT, f"no answer to a marked request within {seconds:g} s")
    except FAILURES as problem:
        revision, model = None, None
        failure = of_exception(problem, answered=False, url=place.target.base_url)
    return ReplicaFinding(at, place.name, revision, model, failure)


async def _answer(
    client: httpx.AsyncClient, place: _Place, now: Callable[[], datetime]
) -> tuple[int | None, str | None, ModelFailure | None]:
    target = place.target
    url = httpx.URL(target.base_url + target.path + "/chat/completions")
    headers = {name.lower(): value for name, value in target.headers.items()}
    headers["host"] = target.host or url.netloc.decode("ascii")
    if target.api_key is not None:
        headers["authorization"] = f"Bearer {target.api_key}"
    async with client.stream(
        "POST",
        url if place.address is None else url.copy_with(host=place.address),
        headers=headers,
        json={"model": target.model, "messages": [{"role": "user", "content": _PROMPT}], "max_tokens": 1},
        timeout=None,
        # By TLS, the gateway is asked for the host's certificate, whatever address it is reached at.
        extensions={"sni_hostname": target.host or url.raw_host.decode("ascii")},
    ) as answer:
        revision, model = _said(answer.headers, target)
        if revision is not None and answer.status_code not in _NOBODY_REACHED:
            return revision, model, None
        body, _ = await read(answer, _ERROR_BODY)
        return None, None, _failure(answer, body, target, now())


def _said(headers: httpx.Headers, target: ReplicaTarget) -> tuple[int | None, str | None]:
    """By which revision the answer was given, and by which model."""
    option = target.options.get(headers.get(OPTION_HEADER, ""))
    if target.says_revision:
        written = headers.get(REVISION_HEADER, "")
        revision = int(written) if _REVISION.fullmatch(written) else None
    else:
        revision = target.revision if option is not None else None
    if target.options:
        # A place in what was told before is that of another model.
        return revision, option if revision == target.revision else None
    model = headers.get(MODEL_HEADER, "")
    return revision, model if len(model) <= _LONGEST_NAME and _MODEL.fullmatch(model) else None


def _failure(answer: httpx.Response, body: bytes, target: ReplicaTarget, now: datetime) -> ModelFailure:
    if target.options and answer.status_code == 400 and _UNTRUSTED_HOST in body:
        message = "Portkey refuses the host of a model: name it in the environment variable TRUSTED_CUSTOM_HOSTS"
        return ModelFailure(ModelFault.REQUEST_REFUSED, f"{message} of its pods")
    failure = of_status(answer.status_code, answer.headers, body, target.api_key, now)
    if failure is not None:
        return failure
    by = OPTION_HEADER if not target.says_revision else REVISION_HEADER
    return ModelFailure(ModelFault.INVALID_ANSWER, f"answers without {by}: something else than this route serves there")
