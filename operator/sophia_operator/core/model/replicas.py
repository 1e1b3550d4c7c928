"""Whether the gateway has a replica that can be asked what it serves by."""

from __future__ import annotations

from sophia_operator.api.model_gateway import ModelGateway
from sophia_operator.core.model.views import ModelRouteObserved
from sophia_operator.core.words import count


def none_to_ask(gateway: ModelGateway, observed: ModelRouteObserved) -> str | None:
    """Why there is no replica to be asked, and what to do; None when there is one, or nobody knows."""
    pods = gateway.lite_llm or gateway.portkey
    if pods is not None and not any(pod.ready for pod in observed.pods):
        labels = ",".join(f"{k}={v}" for k, v in sorted(pods.selector.items()))
        there = f"none of {count(len(observed.pods), 'pod')}" if observed.pods else "no pod"
        return f"{there} with labels {labels} is ready: see the gateway's Deployment, or correct the selector"
    if observed.kept.asking_failed is not None:
        return observed.kept.asking_failed
    if observed.kept.asked_at is not None and not observed.kept.replicas:
        return "no replica of the gateway is known: see that its pods run, and spec.gateway"
    return None
