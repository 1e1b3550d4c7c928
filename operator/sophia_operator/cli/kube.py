"""The API server, as commands need it, by the Kubernetes client. Nobody but this and `kubeconfig` knows that client."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import urllib3
from kubernetes import client, watch

from sophia_operator.api.common import GROUP, VERSION
from sophia_operator.cli.kubeconfig import access
from sophia_operator.cli.session import ChangedError, CliError, Current, News, Object, Seen, Trouble
from sophia_operator.core.names import LABEL_SERVICE

SERVICES: Final = "managedservices"
RELEASES: Final = "releases"
POOLS: Final = "connectionpools"
TIERS: Final = "cachetiers"
ROUTES: Final = "modelroutes"
ACTIONS: Final = "recoveryactions"
POLICIES: Final = "recoverypolicies"
#: Seconds to connect, and to wait for an answer.
_TIMEOUT: Final = (5, 10)
#: The same for lists that may be long.
_LIST_TIMEOUT: Final = (5, 30)
#: Seconds after which the server ends a watch, and after which a silent one is given up. It is opened again at once.
_WATCH_SECONDS: Final = 60
_WATCH_TIMEOUT: Final = (5, _WATCH_SECONDS + 10)
_RETRY_SECONDS: Final = (1, 2, 5, 10)
_GONE: Final = 410
_NOT_FOUND: Final = 404
_INVALID: Final = 422
#: How to find those that are there.
_ALL: Final = {
    "ConnectionPool": "`kubectl sophia pool -A` lists all pools",
    "CacheTier": "`kubectl sophia cache list -A` lists all tiers",
    "ModelRoute": "`kubectl sophia model list -A` lists all routes",
    "RecoveryAction": "`kubectl sophia recovery list -A` lists all actions",
    "RecoveryPolicy": "`kubectl sophia recovery policies -A` lists all policies",
}
_ALL_SERVICES: Final = "`kubectl sophia get -A` lists all services"


class KubeApi:
    """The API server that the kubeconfig names."""

    def __init__(self, *, kubeconfig: str | None, context: str | None, namespace: str | None) -> None:
        way = access(kubeconfig=kubeconfig, context=context)
        self._client = way.client
        self._context = way.context
        self.namespace: str = namespace or way.namespace
        self._objects = client.CustomObjectsApi(self._client)

    def service(self, name: str) -> Object:
        return self._one(SERVICES, "ManagedService", name)

    def services(self, *, everywhere: bool) -> Sequence[Object]:
        return self._all(SERVICES, "ManagedServices", everywhere=everywhere)

    def pool(self, name: str) -> Object:
        return self._one(POOLS, "ConnectionPool", name)

    def pools(self, *, everywhere: bool) -> Sequence[Object]:
        return self._all(POOLS, "ConnectionPools", everywhere=everywhere)

    def tier(self, name: str) -> Object:
        return self._one(TIERS, "CacheTier", name)

    def tiers(self, *, everywhere: bool) -> Sequence[Object]:
        return self._all(TIERS, "CacheTiers", everywhere=everywhere)

    def patch_tier(self, name: str, operations: Sequence[Object]) -> None:
        self._patch(TIERS, name, [dict(o) for o in operations], "application/json-patch+json", "CacheTier")

    def route(self, name: str) -> Object:
        return self._one(ROUTES, "ModelRoute", name)

    def routes(self, *, everywhere: bool) -> Sequence[Object]:
        return self._all(ROUTES, "ModelRoutes", everywhere=everywhere)

    def patch_route(self, name: str, operations: Sequence[Object]) -> None:
        self._patch(ROUTES, name, [dict(o) for o in operations], "application/json-patch+json", "ModelRoute")

    def action(self, name: str) -> Object:
        return self._one(ACTIONS, "RecoveryAction", name)

    def actions(self, *, everywhere: bool) -> Sequence[Object]:
        return self._all(ACTIONS, "RecoveryActions", everywhere=everywhere)

    def create_action(self, obj: Object) -> Object:
        with self._words("RecoveryAction", str(obj["metadata"]["name"])):
            return self._dict(
                self._objects.create_namespaced_custom_object(
                    *(GROUP, VERSION, self.namespace, ACTIONS, dict(obj)),
                    field_manager="kubectl-sophia",
                    _request_timeout=_TIMEOUT,
                )
            )

    def patch_action(self, name: str, operations: Sequence[Object]) -> None:
        self._patch(ACTIONS, name, [dict(o) for o in operations], "application/json-patch+json", "RecoveryAction")

    def policy(self, name: str) -> Object:
        return self._one(POLICIES, "RecoveryPolicy", name)

    def policies(self, *, everywhere: bool) -> Sequence[Object]:
        return self._all(POLICIES, "RecoveryPolicies", everywhere=everywhere)

    def patch_policy(self, name: str, operations: Sequence[Object]) -> None:
        self._patch(POLICIES, name, [dict(o) for o in operations], "application/json-patch+json", "RecoveryPolicy")

    def _one(self, plural: str, kind: str, name: str) -> Object:
        with self._words(kind, name):
            return self._dict(
                self._objects.get_namespaced_custom_object(
                    GROUP, VERSION, self.namespace, plural, name, _request_timeout=_TIMEOUT
                )
            )

    def _all(self, plural: str, kinds: str, *, everywhere: bool) -> Sequence[Object]:
        with self._words(kinds):
            if everywhere:
                found = self._objects.list_cluster_custom_object(GROUP, VERSION, plural, _request_timeout=_LIST_TIMEOUT)
            else:
                found = self._objects.list_namespaced_custom_object(
                    GROUP, VERSION, self.namespace, plural, _request_timeout=_LIST_TIMEOUT
                )
            return self._items(found)

    def releases(self, service: str) -> Sequence[Object]:
        with self._words("Releases of", service):
            found = self._objects.list_namespaced_custom_object(
                GROUP,
                VERSION,
                self.namespace,
                RELEASES,
                label_selector=f"{LABEL_SERVICE}={service}",
                _request_timeout=_TIMEOUT,
            )
            return self._items(found)

    def patch_release(self, name: str, patch: Object) -> None:
        self._patch(RELEASES, name, dict(patch), "application/merge-patch+json", "Release")

    def patch_service(self, name: str, operations: Sequence[Object]) -> None:
        self._patch(SERVICES, name, [dict(o) for o in operations], "application/json-patch+json", "ManagedService")

    def _patch(self, plural: str, name: str, body: Any, content_type: str, kind: str) -> None:
        with self._words(kind, name):
            self._objects.patch_namespaced_custom_object(
                GROUP,
                VERSION,
                self.namespace,
                plural,
                name,
                body,
                field_manager="kubectl-sophia",
                _content_type=content_type,
                _request_timeout=_TIMEOUT,
            )

    def user(self) -> str:
        try:
            review = client.AuthenticationV1Api(self._client).create_self_subject_review(
                client.V1SelfSubjectReview(), _request_timeout=_TIMEOUT
            )
            name = review.status.user_info.username
        except (client.ApiException, urllib3.exceptions.HTTPError, AttributeError):
            name = None  # not every server lets everybody ask; the reason is better with some name than with none
        return str(name or getpass.getuser())

    def watch(self, service: str) -> list[Iterator[News]]:
        return [
            self._stream(SERVICES, field_selector=f"metadata.name={service}"),
            self._stream(RELEASES, label_selector=f"{LABEL_SERVICE}={service}"),
        ]

    def _stream(self, plural: str, **selector: str) -> Iterator[News]:
        """List, then watch from there on; begin again when the server has forgotten where we were."""
        known: set[str] = set()
        failures = 0
        while True:
            try:
                for news in self._list_and_watch(plural, selector, known):
                    failures = 0
                    yield news
            except client.ApiException as error:
                if error.status == _GONE:
                    continue
                yield Trouble(_refusal(error), plural)
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                yield Trouble(_outage(error), plural)
            except CliError as error:
                yield Trouble(error.message, plural)
            time.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1

    def _list_and_watch(self, plural: str, selector: dict[str, str], known: set[str]) -> Iterator[News]:
        call: Callable[..., Any] = self._objects.list_namespaced_custom_object
        where = (GROUP, VERSION, self.namespace, plural)
        listed = self._dict(call(*where, **selector, _request_timeout=_TIMEOUT))
        present = {obj["metadata"]["name"]: obj for obj in self._items(listed)}
        for name in known - set(present):
            yield Seen(plural, name, None)
        for name, obj in present.items():
            yield Seen(plural, name, obj)
        known.clear()
        known.update(present)
        yield Current(plural)
        version = listed["metadata"]["resourceVersion"]
        while True:
            stream = watch.Watch().stream(
                call,
                *where,
                **selector,
                resource_version=version,
                allow_watch_bookmarks=True,
                timeout_seconds=_WATCH_SECONDS,
                _request_timeout=_WATCH_TIMEOUT,
            )
            for event in stream:
                obj = event["raw_object"]
                version = obj["metadata"]["resourceVersion"]
                if event["type"] == "BOOKMARK":
                    continue
                name = obj["metadata"]["name"]
                if event["type"] == "DELETED":
                    known.discard(name)
                    yield Seen(plural, name, None)
                else:
                    known.add(name)
                    yield Seen(plural, name, obj)

    @contextmanager
    def _words(self, kind: str, name: str | None = None) -> Iterator[None]:
        """Errors of the client as words for people."""
        what = kind if name is None else f"{kind} {self.namespace}/{name}"
        try:
            yield
        except client.ApiException as error:
            if _is_stale(error):
                raise ChangedError(f"{what} was changed by somebody else meanwhile: run the command again") from error
            raise CliError(self._absence(error, kind) or f"{what}: {_refusal(error)}") from error
        except urllib3.exceptions.HTTPError as error:
            raise CliError(f"{what}: {_outage(error)}") from error

    def _absence(self, error: client.ApiException, kind: str) -> str | None:
        """Which of two things is not there, the object or its kind; None when it is another error."""
        if error.status != _NOT_FOUND:
            return None
        status = _status_of(error)
        if status is None:
            # A server that knows the kind names the object that is missing; without the CRDs the very path is.
            return (
                f"the cluster of context {self._context} has no {GROUP}/{VERSION}: "
                "install the CRDs (docs/how-to/install.md)"
            )
        name = (status.get("details") or {}).get("name")
        if not name:
            return None
        hint = _ALL.get(kind, _ALL_SERVICES)
        return f"{kind} {name} not found in namespace {self.namespace} (context {self._context}); {hint}"

    @staticmethod
    def _dict(answer: object) -> dict[str, Any]:
        if not isinstance(answer, dict):
            raise CliError("the API server answered with something that is no object")
        return answer

    @classmethod
    def _items(cls, answer: object) -> list[dict[str, Any]]:
        items = cls._dict(answer).get("items")
        if not isinstance(items, list):
            raise CliError("the API server answered with something that is no list")
        return items


def _status_of(error: client.ApiException) -> dict[str, Any] | None:
    """The Status object with which an API server refuses; None when the answer has none."""
    try:
        status = json.loads(error.body or "")
    except ValueError:
        return None
    return status if isinstance(status, dict) else None


def _is_stale(error: client.ApiException) -> bool:
    """Whether the object is not any more as a JSON Patch tested that it is. When an object is refused for what is in
    it, the server says of which kind it is."""
    details = (_status_of(error) or {}).get("details") or {}
    return error.status == _INVALID and not details.get("kind")


def _refusal(error: client.ApiException) -> str:
    message = (_status_of(error) or {}).get("message") or error.reason or "no reason given"
    return f"the API server refused ({error.status}): {message}"


def _outage(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return f"the API server cannot be reached: {reason}"
