"""Whether the API server accepts the template that the spec asks for: asked by a dry run before a Release is made."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sophia_operator.api.release import Color, ReleaseStatus
from sophia_operator.core import names, roles
from sophia_operator.core.render.deployment import deployment
from sophia_operator.core.views import Observed, ReleaseView, ServiceView
from sophia_operator.runtime.dry_run import DryRun


class TemplateCheck(DryRun):
    """Asks once for each generation and hash."""

    async def refusal(self, service: ServiceView, observed: Observed, now: datetime) -> str | None:
        """Why the template is refused, in the API server's words; None when it is not, or there is nothing to ask.

        One that is not known to be accepted counts as refused. Raises ClusterError at the first error for an answer.
        """
        wanted = roles.wanted_hash(service, observed)
        if wanted is None or any(r.spec.hash == wanted for r in observed.releases):
            self.forget()
            return None
        question = (service.generation, wanted)
        objection = await self.objection(question, lambda: _probe_object(service, observed, wanted, now), now)
        if objection is None or objection.answered:
            return objection.words if objection is not None else None
        # It is told behind "the API server refuses spec.template:".
        return f"whether it really does is not known, since it did not answer when asked ({objection.words})"


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
