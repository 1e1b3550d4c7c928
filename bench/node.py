"""The whole cluster for a benchmark: a service of its own under load, taken away at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hack.cluster import bringup, paths
from hack.load import Load
from hack.rig.api import Api
from hack.rig.gateway import wait_reachable
from hack.rig.namespaces import clear_namespace
from hack.rig.services import Service

#: Use the cluster that is up as it is, with the operator that runs there.
AS_IS: Final = "SOPHIA_BENCH_AS_IS"


@dataclass
class Site:
    """A service that serves its first release under load."""

    api: Api
    #: A connection of its own for watches.
    watching: Api
    service: Service
    load: Load


@contextmanager
def service_under_load(
    namespace: str, *, rate: float, env: Mapping[str, str], plan: Mapping[str, Any], log: Path
) -> Iterator[Site]:
    """Bring the cluster up if needed, and a service on it; it stays up, since that takes long."""
    if not os.environ.get(AS_IS):
        bringup.up()
    kubeconfig = paths.kubeconfig()
    with ExitStack() as stack:
        api, watching = stack.enter_context(Api(kubeconfig)), stack.enter_context(Api(kubeconfig, timeout_seconds=150))
        clear_namespace(api, namespace)
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
        stack.callback(api.delete, "Namespace", None, namespace)
        service = Service(api, "shop", namespace)
        service.apply(env=env, plan=plan)
        service.wait_settled(1, seconds=120)
        url = f"{bringup.gateway_url()}/"
        wait_reachable(url, service.host)
        log.parent.mkdir(parents=True, exist_ok=True)
        load = stack.enter_context(Load(url, service.host, rate=rate, log=log))
        yield Site(api, watching, service, load)


def scrape_seconds(api: Api) -> float:
    """How often Prometheus scrapes the gateway, as it says itself."""
    path = "/api/v1/namespaces/monitoring/services/prometheus:http/proxy/api/v1/targets?state=active"
    answer = api.request("GET", path)
    found = json.loads(answer) if isinstance(answer, str) else answer
    intervals = [t["scrapeInterval"] for t in found["data"]["activeTargets"] if t["scrapePool"] == "envoy"]
    if not intervals:
        raise LookupError("Prometheus has no target of the gateway")
    return seconds_of_duration(intervals[0])


def seconds_of_duration(text: str) -> float:
    """Seconds of a duration of Prometheus, as in `1m30s` or `500ms`."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    total, number = 0.0, ""
    for at, letter in enumerate(text):
        if letter.isdigit():
            number += letter
            continue
        unit = text[at : at + 2] if text[at : at + 2] == "ms" else letter
        if number and unit in units:
            total, number = total + int(number) * units[unit], ""
    return total
