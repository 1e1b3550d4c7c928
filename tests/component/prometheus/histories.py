"""The histories that the tests look at. One namespace tells one story."""

from __future__ import annotations

from tests.component.prometheus.scenarios import History, Value, from_zero, reset, steady
from tests.component.prometheus.server import Counter

PLAIN = History("plain")
FIRST_ERRORS = History("first-errors")
BURST = History("burst")
NEWBORN = History("newborn")
QUIET = History("quiet")
RESTARTED = History("restarted")
BLIND = History("blind")
ROLLED = History("rolled")
HUNDRED = History("hundred")
LATENCY = History("latency")
APP = History("app")
TRAEFIK = History("traefik")
BURSTS = History("bursts")
CLIMBED = History("climbed")
MODELS = History("models")


def _histogram(history: History, color: str, rates: dict[str, float]) -> list[Counter]:
    """Cumulative buckets in ms; `rates` are requests per second up to each bound."""
    return [
        history.series(
            "envoy_cluster_upstream_rq_time_bucket",
            {"envoy_cluster_name": f"{history.namespace}_chat-{color}_80", "le": bound, "instance": "envoy-a"},
            steady(rate),
        )
        for bound, rate in rates.items()
    ]


def _burst(t: float) -> float | None:
    """40 errors, all between two scrapes, the first of this release."""
    return 40.0 if t > -33 else None


def _model(metric: str, model: str, value: Value, **labels: str) -> Counter:
    """A series of a LiteLLM proxy about a model of the route `chat`."""
    named = {"model_id": f"{MODELS.namespace}/chat/{model}", "instance": "litellm-0", **labels}
    return MODELS.series(f"litellm_{metric}", named, value)


def _refused(how: str, value: Value, instance: str = "litellm-0") -> Counter:
    """A series of a LiteLLM proxy about requests that another model was asked for, since `primary` refused the key."""
    labels = {"requested_model": "chat/primary", "exception_status": "401", "instance": instance}
    return MODELS.series(f"litellm_deployment_{how}_fallbacks_total", labels, value)


def _served(service: str, code: str, value: Value, envoy: str = "envoy-a") -> Counter:
    """A series of Envoy about a Service that serves a model: answers by status."""
    labels = {"envoy_response_code": code, "envoy_cluster_name": f"{MODELS.namespace}_{service}_8000"}
    return MODELS.series("envoy_cluster_upstream_rq", labels | {"instance": envoy}, value)


def _retried(service: str, value: Value, envoy: str = "envoy-a") -> Counter:
    """Requests that Envoy sent once more, as they had failed; it has this series of every Service, from 0 on."""
    labels = {"envoy_cluster_name": f"{MODELS.namespace}_{service}_8000", "instance": envoy}
    return MODELS.series("envoy_cluster_upstream_rq_retry", labels, value)


def _took(service: str, rates: dict[str, float]) -> list[Counter]:
    """Cumulative buckets in ms of a Service that serves a model."""
    cluster = {"envoy_cluster_name": f"{MODELS.namespace}_{service}_8000", "instance": "envoy-a"}
    metric = "envoy_cluster_upstream_rq_time_bucket"
    return [MODELS.series(metric, cluster | {"le": le}, steady(rate)) for le, rate in rates.items()]


ALL: list[Counter] = [
    # LiteLLM: `primary` answers two requests a second, and fails every other one since 30 s; `second` is
    # down, and is asked for what it does not have, which is none of its failures; `third` was never asked.
    _model("deployment_success_responses_total", "primary", steady(1)),
    _model("deployment_failure_responses_total", "primary", steady(1, since=-30), exception_status="500"),
    _model("deployment_failure_responses_total", "second", steady(0.2), exception_status="503"),
    _model("deployment_failure_responses_total", "second", steady(1), exception_status="400"),
    # The old key of a proxy: both series are of the same model. Another namespace has a route of that name.
    *(_refused(name, steady(0.05)) for name in ("successful", "failed")),
    _refused("failed", steady(7), instance="litellm-of-others"),
    *(
        _model("llm_api_latency_metric_bucket", "primary", steady(rate), le=le)
        for le, rate in (("0.5", 0.5), ("1.0", 1.0), ("+Inf", 1.0))
    ),
    # Envoy, for the same route by Services: `second` answers nothing but errors, beside what is no fault of a model.
    _served("primary", "200", steady(2)),
    *_took("primary", {"500": 1.8, "1000": 2.0, "+Inf": 2.0}),
    _served("second", "503", steady(1)),
    _served("second", "429", steady(3)),
    _served("second", "401", steady(5)),
    _served("other", "503", steady(9)),
    _retried("primary", steady(0)),
    # Half of what is asked of `flaky` fails, unseen by clients. Its gateway was restarted 40 s before the look.
    _served("flaky", "200", reset(1, at=-40)),
    _retried("flaky", reset(1, at=-40)),
    # One of two replicas of the gateway was replaced 40 s before the look; the new one's first answers are errors.
    _served("moved", "200", lambda t: steady(1)(t) if t < -40 else None),
    _served("moved", "200", steady(1), envoy="envoy-c"),
    _served("moved", "500", steady(1, since=-40), envoy="envoy-b"),
    _retried("idle", steady(0)),
    # A young gateway was restarted 40 s before the look, and counts beyond where it had been.
    CLIMBED.contour("green", "2", lambda t: None if t < -90 else t + 90 if t < -40 else 5 * (t + 40)),
    # Every third minute blue has 20 errors at once.
    BURSTS.contour("blue", "2", steady(2)),
    BURSTS.contour("blue", "5", lambda t: 20.0 * ((t + 1200) // 180)),
    BURSTS.contour("green", "2", steady(1)),
    # 2 requests a second at blue, 1 at green of which one in ten fails; all series old.
    PLAIN.contour("blue", "2", steady(2)),
    PLAIN.contour("blue", "5", steady(0.02)),
    PLAIN.contour("green", "2", steady(0.9)),
    PLAIN.contour("green", "5", steady(0.1)),
    # Green has answered well for long; its 5xx series is born in the window, by errors.
    FIRST_ERRORS.contour("blue", "2", steady(2)),
    FIRST_ERRORS.contour("green", "2", steady(1)),
    FIRST_ERRORS.contour("green", "5", steady(1, since=-30)),
    # The same, but all the errors fall between two scrapes, and no more come.
    BURST.contour("blue", "2", steady(2)),
    BURST.contour("green", "2", steady(1)),
    BURST.contour("green", "5", _burst),
    # Green gets its first requests ever, 50 s before the look.
    NEWBORN.contour("blue", "2", steady(2)),
    NEWBORN.contour("green", "2", steady(1, since=-50)),
    # Green was never asked for anything; blue is.
    QUIET.contour("blue", "2", steady(2)),
    # The gateway was restarted 40 s before the look.
    RESTARTED.contour("blue", "2", reset(2, at=-40)),
    RESTARTED.contour("green", "2", reset(1, at=-40)),
    RESTARTED.contour("green", "5", reset(0.5, at=-40)),
    # Prometheus itself was away, and came back 35 s before the look; the counters hold a release of long ago.
    BLIND.contour("blue", "2", steady(2, already=90_000), watched=lambda t: t < -600 or t > -35),
    BLIND.contour("green", "2", steady(1, already=5_000), watched=lambda t: t > -35),
    BLIND.contour("green", "5", steady(0, already=4_000), watched=lambda t: t > -35),
    # A gateway replica was replaced 40 s before the look: other instance, counters from zero.
    ROLLED.contour("blue", "2", lambda t: steady(2)(t) if t < -40 else None),
    ROLLED.contour("green", "2", lambda t: steady(1)(t) if t < -40 else None),
    ROLLED.contour("blue", "2", steady(2, since=-40), envoy="envoy-b"),
    ROLLED.contour("green", "2", steady(1, since=-40), envoy="envoy-b"),
    ROLLED.contour("green", "5", steady(0.5, since=-40), envoy="envoy-b"),
    # All the traffic went to green 200 s before the look.
    HUNDRED.contour("blue", "2", lambda t: steady(2)(min(t, -200))),
    HUNDRED.contour("blue", "5", lambda t: steady(0.1)(min(t, -200))),
    HUNDRED.contour("green", "2", from_zero(2, since=-200)),
    *_histogram(LATENCY, "green", {"10": 0.5, "100": 0.9, "1000": 0.98, "+Inf": 1.0}),
    *_histogram(LATENCY, "blue", {"10": 1.9, "100": 1.99, "1000": 2.0, "+Inf": 2.0}),
    # Two pods of the new release, one of the old one, one of another service whose name begins alike.
    APP.app("chat-2-7d9c5b8f6d-x2x4k", "200", from_zero(1, since=-100)),
    APP.app("chat-2-7d9c5b8f6d-bcdf2", "200", from_zero(1, since=-100)),
    APP.app("chat-2-7d9c5b8f6d-bcdf2", "503", steady(0.5, since=-40)),
    APP.app("chat-1-5b8f6d7d9c-zz222", "200", steady(3)),
    APP.app("chat-2-1-7d9c5b8f6d-zz222", "500", steady(7)),
    APP.app("chat-20-7d9c5b8f6d-zz222", "500", steady(7)),
    *(
        APP.series(
            "http_request_duration_seconds_bucket",
            {"namespace": "app", "pod": "chat-2-7d9c5b8f6d-x2x4k", "le": bound},
            steady(rate),
        )
        for bound, rate in {"0.1": 0.5, "0.5": 1.0, "+Inf": 1.0}.items()
    ),
    # As Traefik names services now, and as older ones did; a check Service and another port beside them.
    *(
        TRAEFIK.series("traefik_service_requests_total", {"service": f"{service}@kubernetesgateway", "code": code}, v)
        for service, code, v in (
            ("httproute-traefik-chat-gw-infra-gw-ep-web-0-svc-traefik-chat-green-80", "200", steady(1)),
            ("httproute-traefik-chat-gw-infra-gw-ep-web-0-svc-traefik-chat-green-80", "502", steady(0.2)),
            ("httproute-traefik-chat-gw-infra-gw-ep-web-0-svc-traefik-chat-green-check-80", "500", steady(7)),
            ("httproute-traefik-chat-gw-infra-gw-ep-web-0-svc-traefik-chat-green-8080", "500", steady(7)),
            ("traefik-chat-blue-80", "200", steady(3)),
        )
    ),
]
