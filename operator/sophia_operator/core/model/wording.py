"""What is said of a model: what is wrong with it and what to do, and what was seen, in numbers."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_endpoint import Model
from sophia_operator.core.model.evidence import Evidence
from sophia_operator.core.model.findings import ModelFailure, ModelFault
from sophia_operator.core.steady import ms_text

_REASONS: Final = {
    ModelFault.HOST_UNKNOWN: Reason.HOST_UNKNOWN,
    ModelFault.UNREACHABLE: Reason.SERVER_UNREACHABLE,
    ModelFault.TLS_UNTRUSTED: Reason.TLS_UNTRUSTED,
    ModelFault.RATE_LIMITED: Reason.RATE_LIMITED,
    ModelFault.CREDENTIALS_REFUSED: Reason.CREDENTIALS_REFUSED,
    ModelFault.INVALID_ANSWER: Reason.INVALID_ANSWER,
    ModelFault.TRUNCATED: Reason.INVALID_ANSWER,
    ModelFault.UNEXPECTED_ANSWER: Reason.INVALID_ANSWER,
}
#: What is wrong, and what to do. `{where}` is the endpoint, `{model}` the model's name there.
_WORDS: Final = {
    ModelFault.HOST_UNKNOWN: "the host of {where} is not known: correct endpoint, or make the name resolvable",
    ModelFault.UNREACHABLE: "{where} does not answer: see whether it runs, and whether the network lets the operator "
    "reach it",
    ModelFault.TIMEOUT: "{where} gives no whole answer in time: see what it is busy with, or raise "
    "probe.timeoutSeconds",
    ModelFault.TLS_UNTRUSTED: "the certificate of {where} cannot be verified: correct the certificates in the Secret "
    "of endpoint.caSecretRef, or the name in endpoint.url",
    ModelFault.RATE_LIMITED: "the provider asks to wait (429): it is asked again afterwards; lower the traffic, or "
    "have the limit raised",
    ModelFault.CREDENTIALS_REFUSED: "{where} refuses the credentials: put a key that it accepts into the Secret of "
    "credentialsSecretRef",
    ModelFault.SERVER_ERROR: "{where} answers with an error of its own: see its logs",
    ModelFault.REQUEST_REFUSED: "{where} refuses the request: see whether it serves {model}, and whether its API "
    "begins there",
    ModelFault.INVALID_ANSWER: "{where} answers 200 without a completion: see whether it speaks the OpenAI API, and "
    "its logs",
    ModelFault.TRUNCATED: "answers of {where} break off: see its logs, and what closes connections in between",
    ModelFault.UNEXPECTED_ANSWER: "answers of {where} lack the text of probe.expect: correct that, or see what {model} "
    "answers there",
}
_SAID: Final = 200


def explain(model: Model, failure: ModelFailure) -> tuple[Reason, str]:
    """The reason, and a message that names the endpoint, says what is wrong and what to do."""
    message = _WORDS[failure.fault].format(where=_where(model), model=model.model)
    said = f" ({failure.message[:_SAID]})" if failure.message else ""
    return _REASONS.get(failure.fault, Reason.MODEL_FAILED), message + said


def _where(model: Model) -> str:
    service = model.endpoint.service_ref
    if service is not None:
        return f"Service {service.name}, port {service.port}"
    return (model.endpoint.url or "").split("?")[0][:120]


def seen(found: Evidence, window_seconds: int) -> list[str]:
    """What was seen: `3 of 3 probes failed (Timeout)`, `12 of 50 requests failed in 60 s`, `p95 2,300 ms`."""
    parts = []
    if found.judged:
        faults = f" ({', '.join(found.faults)})" if found.faults else ""
        noun = "probe" if found.judged == 1 else "probes"
        parts.append(f"{found.judged_failures} of {found.judged} {noun} failed{faults}")
    if found.users is not None and round(found.users.requests):
        noun = "request" if round(found.users.requests) == 1 else "requests"
        counts = f"{round(found.users.failures):,} of {round(found.users.requests):,} {noun}"
        parts.append(f"{counts} failed in {window_seconds} s")
    if found.p95_ms is not None:
        parts.append(f"p95 {milliseconds(found.p95_ms)}")
    return parts


def milliseconds(value: float) -> str:
    """As in `2,300 ms`."""
    return f"{value:,.0f} ms" if value >= 10 else f"{ms_text(value)} ms"
