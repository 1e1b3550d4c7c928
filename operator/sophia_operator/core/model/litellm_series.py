"""How LiteLLM proxies count users' requests, and what they call a model of a route.

A proxy counts what it asks of each deployment before its own fallbacks hide a failure. The series
`litellm_deployment_total_requests_total` is of no use: a request that was sent nowhere, because the model that it was
for cooled down, counts there too, for another deployment or for none. Answers, and failures with a status, are what
deployments gave. A failure of a model that was asked in place of another one is not counted at all.
"""

from __future__ import annotations

from typing import Final

from sophia_operator.core.model.names import CHOICE_SEPARATOR

#: Label of each series below: :func:`deployment_id`.
MODEL_LABEL: Final = "model_id"
SUCCESSES: Final = "litellm_deployment_success_responses_total"
FAILURES: Final = "litellm_deployment_failure_responses_total"
#: Histogram of whole answers, of streams to their end, in seconds; successes alone.
LATENCY_BUCKET: Final = "litellm_llm_api_latency_metric_bucket"
#: Label of `FAILURES`: HTTP status as LiteLLM understands it. A timeout is 408, a refused connection 500; "None" is for
#: requests that were sent nowhere.
STATUS_LABEL: Final = "exception_status"
#: Failures of the model; 429 is none, and other 4xx are what clients sent.
FAILED_STATUSES: Final = "403|404|408|5.."

#: A 401 of a model is taken for a client's own: neither it nor the answer of the model that was asked instead is in a
#: series above. Such requests, to be added to the failures and the requests of the model that was asked first, are in
#: these two: a proxy with an old key, of which probes with the new one know nothing.
REFUSALS: Final = ("litellm_deployment_successful_fallbacks_total", "litellm_deployment_failed_fallbacks_total")
REFUSED_STATUS: Final = "401"
#: Label of `REFUSALS`: :func:`group`.
GROUP_LABEL: Final = "requested_model"


def group(route: str, model: str) -> str:
    """What LiteLLM calls a model of a route where it counts requests by what they asked for."""
    return f"{route}{CHOICE_SEPARATOR}{model}"


def deployment_id(namespace: str, route: str, model: str) -> str:
    """What metrics and `x-litellm-model-id` call a model of a route; at most three labels of 63 characters."""
    return f"{namespace}/{route}/{model}"
