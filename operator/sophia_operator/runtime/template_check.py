"""Whether the API server accepts the template that the spec asks for: asked by a dry run before a Release is made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sophia_operator.api.release import Color, ReleaseStatus
from sophia_operator.core import names, roles
from sophia_operator.core.render.deployment import deployment
from sophia_operator.core.views import Observed, ReleaseView, ServiceView
from sophia_operator.ports import Cluster, ClusterError, Refusal

#: A refusal is asked about again after this long: a policy or a webhook may have been mended meanwhile.
ASK_AGAIN_SECONDS: Final = 60.0
#: Such webhooks cannot be asked without consequences; the real apply will show what they say.
_CANNOT_ASK: Final = "does not support dry run"


class TemplateCheck:
    """Asks once for each generation and hash, and remembers the answer."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._asked: tuple[int, str] | None = None
        self._refusal: str | None = None
        self._refused_at: datetime | None = None

    async def refusal(self, service: ServiceView, observed: Observed, now: datetime) -> str | None:
        """Why the template is refused, in the API server's words; None when it is not, or there is nothing to ask.

        Raises ClusterError when the API server does not answer.
        """
        wanted = roles.wanted_hash(service, observed)
        if wanted is None or any(r.spec.hash == wanted for r in observed.releases):
            self._asked = None
            return None
        question = (service.generation, wanted)
        stale = self._refused_at is not None and now - self._refused_at >= timedelta(seconds=ASK_AGAIN_SECONDS)
        if question != self._asked or stale:
            self._refusal = await self._ask(_probe_object(service, observed, wanted, now))
            self._refused_at = now if self._refusal is not None else None
            self._asked = question
        return self._refusal

    async def _ask(self, obj: dict[str, Any]) -> str | None:
        try:
            await self._cluster.apply(obj, dry_run=True)
        except ClusterError as error:
            if _CANNOT_ASK in error.message:
                return None
            if error.refusal in (Refusal.INVALID, Refusal.FORBIDDEN):
                return error.message
            raise
        return None


def _probe_object(service: ServiceView, observed: Observed, wanted: str, now: datetime) -> dict[str, Any]:
    """The Deployment that the next Release would have."""
    spec = roles.new_release_spec(service, observed, wanted)
    release = ReleaseView(
        name=names.release_name(service.name, spec.revision),
        uid="",
        generation=1,
        resource_version="0",
        created_at=now,
        spec=spec,
        status=ReleaseStatus(),
    )
    obj = deployment(service, release, Color.BLUE, service.spec.replicas)
    del obj["metadata"]["ownerReferences"]
    return obj
