"""What the cluster should hold for a pool: pure, and the same for the same input to the last byte."""

from __future__ import annotations

from sophia_operator.core.pool.ini import config_files, wanted_config_hash
from sophia_operator.core.pool.render.budget import disruption_budget
from sophia_operator.core.pool.render.deployment import deployment
from sophia_operator.core.pool.render.secrets import binding_secret, config_secret
from sophia_operator.core.pool.render.service import service
from sophia_operator.core.pool.views import PoolDesired, PoolObserved, PoolView

__all__ = ["render", "wanted_config_hash"]


def render(pool: PoolView, observed: PoolObserved, default_image: str) -> PoolDesired:
    """The objects of a pool, in the order to apply them.

    While a Secret that the configuration needs is missing, what depends on it is not rendered, and so stays as it is:
    what serves goes on serving.
    """
    reachable = (service(pool), disruption_budget(pool))
    configured = config_files(pool, observed)
    if configured is None or observed.access is None:
        return PoolDesired(objects=reachable)
    files, marker = configured
    secrets = (config_secret(pool, files), binding_secret(pool, observed.access))
    return PoolDesired((*secrets, *reachable, deployment(pool, observed.access, default_image)), marker)
