"""What answers of the API server mean, and how Events are told once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sophia_operator.adapters import kubernetes_paths
from sophia_operator.adapters.kubernetes_errors import refusal_of
from sophia_operator.adapters.kubernetes_events import EventLog
from sophia_operator.core.decision import EventType, Notice
from sophia_operator.ports import ClusterError, Object, ObjectRef, Refusal


@pytest.mark.parametrize(
    ("status", "reason", "refusal"),
    [
        (400, "BadRequest", Refusal.INVALID),
        (401, "Unauthorized", Refusal.FORBIDDEN),
        (403, "Forbidden", Refusal.FORBIDDEN),
        (404, "NotFound", Refusal.NOT_FOUND),
        (409, "Conflict", Refusal.CONFLICT),
        (409, "AlreadyExists", Refusal.ALREADY_EXISTS),
        (413, "RequestEntityTooLarge", Refusal.INVALID),
        (422, "Invalid", Refusal.INVALID),
        (429, "TooManyRequests", Refusal.UNAVAILABLE),
        (500, "InternalError", Refusal.UNAVAILABLE),
        (503, "ServiceUnavailable", Refusal.UNAVAILABLE),
        (504, "Timeout", Refusal.UNAVAILABLE),
    ],
)
def test_each_status_has_a_meaning(status: int, reason: str, refusal: Refusal) -> None:
    error = refusal_of(status, json.dumps({"reason": reason, "message": "its own words"}).encode())
    assert (error.refusal, error.message) == (refusal, "its own words")


def test_answers_that_are_no_status_are_shown_as_they_are() -> None:
    assert refusal_of(502, b"<html>bad gateway</html>").message == "HTTP status 502: <html>bad gateway</html>"
    assert refusal_of(500, b"").message == "HTTP status 500"
    assert refusal_of(500, b"[1]").refusal is Refusal.UNAVAILABLE
    assert len(refusal_of(500, b"x" * 10_000).message) <= 2048


def test_an_unknown_field_is_no_outage() -> None:
    message = "failed to create typed patch object: .spec.foo: field not declared in schema"
    assert refusal_of(500, json.dumps({"message": message}).encode()).refusal is Refusal.INVALID


def test_paths() -> None:
    deployment = ObjectRef("apps/v1", "Deployment", "shop", "app-1")
    assert kubernetes_paths.item(deployment) == "/apis/apps/v1/namespaces/shop/deployments/app-1"
    release = ObjectRef("sophia.ai/v1alpha1", "Release", "shop", "app-1")
    path = "/apis/sophia.ai/v1alpha1/namespaces/shop/releases/app-1/status"
    assert kubernetes_paths.item(release, "status") == path
    assert kubernetes_paths.collection("v1", "Pod", None) == "/api/v1/pods"
    gateway_class = ObjectRef("gateway.networking.k8s.io/v1", "GatewayClass", "", "c")
    assert kubernetes_paths.item(gateway_class) == "/apis/gateway.networking.k8s.io/v1/gatewayclasses/c"


ABOUT = ObjectRef("sophia.ai/v1alpha1", "Release", "shop", "app-1", "uid-1")


class Recorder:
    """Notes what is posted and patched."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.posted: list[Object] = []
        self.patched: list[tuple[str, Mapping[str, Any]]] = []
        self.fails = False
        self.log = EventLog(self.post, self.patch, "operator-0", lambda: self.now)

    async def post(self, event: Object) -> Object:
        if self.fails:
            raise ClusterError(Refusal.UNAVAILABLE, "no")
        self.posted.append(event)
        return event

    async def patch(self, ref: ObjectRef, change: Mapping[str, Any]) -> Object:
        self.patched.append((ref.name, change))
        return change

    async def tell(self, message: str = "m", reason: str = "GateFailed") -> None:
        await self.log.emit(ABOUT, Notice(EventType.WARNING, reason, message))


async def test_what_repeats_within_ten_minutes_is_counted() -> None:
    recorder = Recorder()
    for _ in range(3):
        await recorder.tell()
        recorder.now += timedelta(minutes=9)
    assert len(recorder.posted) == 1
    name = recorder.posted[0]["metadata"]["name"]
    assert [(n, c["series"]["count"]) for n, c in recorder.patched] == [(name, 2), (name, 3)]
    recorder.now += timedelta(minutes=2)
    await recorder.tell()
    assert len(recorder.posted) == 2


async def test_another_message_or_reason_is_another_event() -> None:
    recorder = Recorder()
    await recorder.tell("one")
    await recorder.tell("two")
    await recorder.tell("one", reason="Promoted")
    assert len(recorder.posted) == 3
    assert recorder.patched == []


async def test_what_could_not_be_told_is_told_the_next_time() -> None:
    recorder = Recorder()
    recorder.fails = True
    await recorder.tell()
    recorder.fails = False
    await recorder.tell()
    assert len(recorder.posted) == 1
