"""A concurrent client of the API server: plain JSON over kept connections, and watches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import aiohttp

from hack.rig.api import ApiError, access
from sophia_operator.adapters import kubernetes_paths

Json = dict[str, Any]

JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
_TIMEOUT_SECONDS: Final = 60.0
_BUSY: Final = 429
_BUSY_ATTEMPTS: Final = 12
_LINE_BYTES: Final = 4 << 20
_USER_AGENT: Final = "sophia-bench"


class Client:
    """Talks to the cluster of a kubeconfig. Use it as an async context manager."""

    def __init__(self, kubeconfig: Path, *, connections: int = 64, user_agent: str = _USER_AGENT) -> None:
        self._server, self._tls = access(kubeconfig)
        self._connections = connections
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        self._session = aiohttp.ClientSession(
            base_url=self._server,
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS),
            headers={"User-Agent": self._user_agent},
            read_bufsize=_LINE_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content: str = JSON,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """One request; the parsed answer, or its text when it is no JSON. Raises hack.rig.api.ApiError.

        A server that asks to come back later (it does while it prepares a new CRD) is asked again for some seconds.
        """
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(_BUSY_ATTEMPTS):
            status, is_json, found = await self._once(method, path, data, content, params)
            if status != _BUSY:
                break
            await asyncio.sleep(0.1 * (attempt + 1))
        if status >= 400:
            raise ApiError(status, found.get("message", "") if is_json else found)
        return found

    async def _once(
        self, method: str, path: str, data: bytes | None, content: str, params: Mapping[str, str] | None
    ) -> tuple[int, bool, Any]:
        assert self._session is not None
        headers = {"Content-Type": content}
        async with self._session.request(method, path, data=data, params=params, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.content_type == JSON
            return answer.status, is_json, json.loads(text) if is_json else text

    async def create(self, obj: Mapping[str, Any]) -> Json:
        """Create an object."""
        made: Json = await self.request("POST", _collection(obj), obj)
        return made

    async def apply(self, obj: Mapping[str, Any]) -> Json:
        """Server-side apply, as `kubectl apply --server-side --force-conflicts` does."""
        params = {"fieldManager": "bench", "force": "true"}
        applied: Json = await self.request("PATCH", _item(obj), obj, content=APPLY, params=params)
        return applied

    async def merge(self, obj: Mapping[str, Any], patch: Mapping[str, Any], sub: str = "") -> Json:
        """Merge-patch an object, or its subresource `sub`."""
        path = _item(obj) + (f"/{sub}" if sub else "")
        merged: Json = await self.request("PATCH", path, patch, content=MERGE)
        return merged

    async def delete(self, obj: Mapping[str, Any]) -> None:
        """Delete an object at once; one that is gone is no error."""
        try:
            await self.request("DELETE", _item(obj), {"gracePeriodSeconds": 0})
        except ApiError as error:
            if error.code != 404:
                raise

    async def list(self, api_version: str, kind: str, selector: str = "") -> tuple[list[Json], str]:
        """All objects of a kind in all namespaces, and the resource version to watch from."""
        path = kubernetes_paths.collection(api_version, kind, None)
        found = await self.request("GET", path, params={"labelSelector": selector})
        items = [{"apiVersion": api_version, "kind": kind, **item} for item in found["items"]]
        return items, found["metadata"]["resourceVersion"]

    async def watch(self, api_version: str, kind: str, selector: str, version: str) -> AsyncIterator[Json]:
        """Events `{type, object}` of a kind in all namespaces since that resource version, for ever."""
        assert self._session is not None
        path = kubernetes_paths.collection(api_version, kind, None)
        while True:
            params = {"watch": "true", "labelSelector": selector, "resourceVersion": version}
            params |= {"allowWatchBookmarks": "true"}
            unlimited = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
            async with self._session.get(path, params=params, timeout=unlimited) as answer:
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiError(event["object"].get("code", 0), event["object"].get("message", ""))
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event
            await asyncio.sleep(0.1)


def _collection(obj: Mapping[str, Any]) -> str:
    return kubernetes_paths.collection(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace"))


def _item(obj: Mapping[str, Any]) -> str:
    return f"{_collection(obj)}/{obj['metadata']['name']}"
