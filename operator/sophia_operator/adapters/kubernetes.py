"""The Kubernetes API, as the loop needs it: plain JSON, time limits, and failures as values of one kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient

from sophia_operator.adapters import kubernetes_paths
from sophia_operator.adapters.kubernetes_errors import refusal_of
from sophia_operator.adapters.kubernetes_events import EventLog
from sophia_operator.core.decision import Notice
from sophia_operator.core.names import MANAGER
from sophia_operator.ports import ClusterError, Object, ObjectRef, Refusal

STATUS_MANAGER: Final = f"{MANAGER}-status"
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_JSON: Final = "application/json"
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_CONNECT_SECONDS: Final = 3.0
_PAGE: Final = 100

#: Told of each request: verb, kind, and the HTTP status or `error`.
Observer = Callable[[str, str, str], None]


class KubernetesCluster:
    """Implements ports.Cluster. Close it when done."""

    def __init__(
        self,
        client: ApiClient,
        *,
        timeout_seconds: float = 10.0,
        observer: Observer = lambda *_: None,
        instance: str = MANAGER,
    ) -> None:
        self._client = client
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=_CONNECT_SECONDS)
        self._observer = observer
        self._events = EventLog(self._post_event, self._patch_event, instance)

    async def apply(self, obj: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply with the operator's field manager, forced; returns the object as it is then."""
        query = {"fieldManager": MANAGER, "force": "true"}
        if dry_run:
            # What a person wrote is checked to the letter: a misspelt field is refused, not dropped.
            query |= {"dryRun": "All", "fieldValidation": "Strict"}
        return await self._send(
            "dry-run" if dry_run else "apply", "PATCH", _ref(obj), query=query, body=obj, content=_APPLY
        )

    async def create(self, obj: Object) -> Object:
        """Create; AlreadyExists when it is there."""
        ref = _ref(obj)
        path = kubernetes_paths.collection(ref.api_version, ref.kind, ref.namespace)
        return await self._send("create", "POST", ref, path=path, query={"fieldManager": MANAGER}, body=obj)

    async def apply_status(self, obj: Object) -> Object:
        """Server-side apply of the status. `metadata.resourceVersion` is a precondition: Conflict when it is old."""
        ref = _ref(obj)
        query = {"fieldManager": STATUS_MANAGER, "force": "true"}
        path = kubernetes_paths.item(ref, "status")
        return await self._send("apply-status", "PATCH", ref, path=path, query=query, body=obj, content=_APPLY)

    async def get(self, ref: ObjectRef) -> Object | None:
        """Read one object; None when it is missing."""
        try:
            return await self._send("get", "GET", ref)
        except ClusterError as error:
            if error.refusal is Refusal.NOT_FOUND:
                return None
            raise

    async def delete(self, ref: ObjectRef) -> None:
        """Delete in the background, with the uid as a precondition when given; a missing object is no error."""
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if ref.uid is not None:
            body["preconditions"] = {"uid": ref.uid}
        try:
            await self._send("delete", "DELETE", ref, body=body)
        except ClusterError as error:
            if error.refusal is not Refusal.NOT_FOUND:
                raise

    async def emit(self, about: ObjectRef, notice: Notice) -> None:
        """Record an Event, or count one that repeats. Never fails the pass."""
        await self._events.emit(about, notice)

    async def list_metadata(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> Sequence[Object]:
        """Metadata of all objects of a kind, from the API server's cache. Raises ClusterError."""
        ref = ObjectRef(api_version, kind, namespace or "", "")
        path = kubernetes_paths.collection(api_version, kind, namespace)
        query = {"resourceVersion": "0", "labelSelector": labels, "fieldSelector": fields}
        query = {key: value for key, value in query.items() if value}
        answer = await self._send("list", "GET", ref, path=path, query=query, accept=_METADATA_ONLY)
        items: list[Object] = answer.get("items") or []
        return items

    async def list_objects(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Sequence[Object]]:
        """All objects of a kind as they are now, page by page. Raises ClusterError."""
        ref = ObjectRef(api_version, kind, namespace or "", "")
        path = kubernetes_paths.collection(api_version, kind, namespace)
        query = {"limit": str(_PAGE), "labelSelector": labels, "fieldSelector": fields}
        query = {key: value for key, value in query.items() if value}
        while True:
            answer = await self._send("list", "GET", ref, path=path, query=query)
            # Items of a list do not say what they are.
            yield [{"apiVersion": api_version, "kind": kind, **item} for item in answer.get("items") or ()]
            query["continue"] = (answer.get("metadata") or {}).get("continue") or ""
            if not query["continue"]:
                return

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _post_event(self, event: Object) -> Object:
        ref = _ref(event)
        path = kubernetes_paths.collection(ref.api_version, ref.kind, ref.namespace)
        return await self._send("create", "POST", ref, path=path, body=event)

    async def _patch_event(self, ref: ObjectRef, patch: Mapping[str, Any]) -> Object:
        return await self._send("patch", "PATCH", ref, body=patch, content=_MERGE)

    async def _send(
        self,
        verb: str,
        method: str,
        ref: ObjectRef,
        *,
        path: str | None = None,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = _JSON,
        accept: str = _JSON,
    ) -> dict[str, Any]:
        """Send one request and read its answer. Raises ClusterError for whatever goes wrong."""
        path = path if path is not None else kubernetes_paths.item(ref)
        if query:
            path = f"{path}?{urlencode(query)}"
        headers = {"Accept": accept, "Content-Type": content}
        code = "error"
        try:
            _, url, sent, *_ = await self._client.param_serialize(
                method, path, header_params=headers, auth_settings=["BearerToken"]
            )
            answer = await self._client.call_api(method, url, sent, body, _request_timeout=self._timeout)
            data: bytes = await answer.read()
            code = str(answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(Refusal.UNAVAILABLE, f"{type(error).__name__}: {error}".rstrip(": ")) from error
        finally:
            self._observer(verb, ref.kind, code)
        if answer.status >= 300:
            raise refusal_of(answer.status, data)
        try:
            found: dict[str, Any] = (
                await asyncio.to_thread(json.loads, data) if len(data) > 1 << 20 else json.loads(data)
            )
        except ValueError as error:
            raise ClusterError(Refusal.UNAVAILABLE, f"the answer is no JSON: {error}") from error
        return found


def _ref(obj: Object) -> ObjectRef:
    meta = obj["metadata"]
    return ObjectRef(obj["apiVersion"], obj["kind"], meta.get("namespace", ""), meta.get("name", ""))
