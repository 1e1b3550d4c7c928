"""How the framework behaves: what it watches, how long it waits, and what it must not write."""

from __future__ import annotations

from typing import Any

import kopf

from sophia_operator.api.common import GROUP
from sophia_operator.runtime.watched import OTHERS

FINALIZER = f"{GROUP}/finalizer"


class _NoDiffBase(kopf.DiffBaseStorage):
    """Remembers nothing of earlier versions: no handler asks what changed, and copying every object only to compare
    it takes most of the framework's time."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:  # noqa: ARG002
        """Nothing of an object matters here."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        """Nothing is stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is stored."""


def settings() -> kopf.OperatorSettings:
    """Settings of the framework. Of everything that it can write to objects, only the finalizer is left."""
    made = kopf.OperatorSettings()
    made.persistence.finalizer = FINALIZER
    made.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    made.persistence.diffbase_storage = _NoDiffBase()
    # A worker of an object holds its newest event until it is idle for so long.
    made.queueing.idle_timeout = 0.5
    made.posting.enabled = False  # our own Events are told by the loop
    made.peering.standalone = True  # the Lease sees to it that there is one
    made.watching.server_timeout = 290
    made.watching.connect_timeout = 10
    # The API server sends a bookmark every minute; a stream that is silent for longer is dead.
    made.watching.inactivity_timeout = 75
    made.watching.chunk_size = 100
    made.networking.request_timeout = 30
    made.networking.connect_timeout = 5
    made.networking.error_backoffs = (0.2, 0.5, 1, 2, 3, 5, 8, 13, 21, 30)
    made.background.instant_exit_timeout = 2.0
    made.process.ultimate_exiting_timeout = 25.0
    for watched in OTHERS:
        if watched.label_selector:
            made.watching.label_selectors[watched.group, watched.plural] = watched.label_selector
        if watched.field_selector:
            made.watching.field_selectors[watched.group, watched.plural] = watched.field_selector
    return made
