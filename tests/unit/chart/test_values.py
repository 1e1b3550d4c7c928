"""What the chart makes of its values."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer
import yaml

from sophia_operator.__main__ import app as operator
from sophia_operator.runtime.telemetry import Telemetry
from tests.support.helm import CHART, ROOT, helm, kinds, pick, render, render_text

ALL_ON: dict[str, Any] = {
    "replicas": 2,
    "prometheus": {"url": "http://prometheus.monitoring.svc:9090"},
    "image": {"repository": "registry.example/sophia", "digest": "sha256:" + "a" * 64},
    "imagePullSecrets": [{"name": "pull"}],
    "extraArgs": ["--no-leader-elect"],
    "logging": {"level": "debug", "format": "text"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "infra", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "podLabels": {"team": "platform"},
    "podAnnotations": {"example.com/note": "yes"},
    "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {}}]},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    },
}


def container(values: dict[str, Any] | None = None) -> Any:
    (only,) = pick(render(values), "Deployment")["spec"]["template"]["spec"]["containers"]
    return only


@pytest.mark.parametrize("values", [{}, ALL_ON], ids=["defaults", "everything on"])
def test_lint_is_strict_and_clean(values: dict[str, Any]) -> None:
    done = helm("lint", "--strict", str(CHART), values=values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_values_of_the_local_cluster_render() -> None:
    values = yaml.safe_load((ROOT / "hack/cluster/operator-values.yaml").read_text())
    only = container(values)
    assert only["image"] == "localhost/sophia-operator:dev"
    assert only["imagePullPolicy"] in ("IfNotPresent", "Never")
    assert "--prometheus-url=http://prometheus.monitoring.svc:9090" in only["args"]


def test_arguments_follow_the_values() -> None:
    common = ["run", "--metrics-port=8080", "--health-port=8081", "--lease-name=sophia-operator"]
    assert container()["args"] == [*common, "--log-level=info", "--log-format=json"]
    only = container({"watchNamespaces": ["shop", "chat"], **ALL_ON})
    assert only["args"] == [
        *common,
        "--log-level=debug",
        "--log-format=text",
        "--prometheus-url=http://prometheus.monitoring.svc:9090",
        "--namespace=shop",
        "--namespace=chat",
        "--no-leader-elect",
    ]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in only["env"]


def test_pools_run_the_image_that_the_values_name() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    default = {"name": "SOPHIA_PGBOUNCER_IMAGE", "value": f"sophia-pgbouncer:{version}"}
    assert default in container()["env"]
    named = container({"pgbouncer": {"image": {"repository": "registry.example.com/pgbouncer", "tag": "1.24"}}})
    assert {"name": "SOPHIA_PGBOUNCER_IMAGE", "value": "registry.example.com/pgbouncer:1.24"} in named["env"]


def test_tiers_run_the_image_that_the_values_name() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert {"name": "SOPHIA_REDIS_IMAGE", "value": f"sophia-redis:{version}"} in container()["env"]
    named = container({"redis": {"image": {"repository": "registry.example.com/valkey", "tag": "8.1"}}})
    assert {"name": "SOPHIA_REDIS_IMAGE", "value": "registry.example.com/valkey:8.1"} in named["env"]


@pytest.mark.parametrize(
    "values", [{}, ALL_ON, {"watchNamespaces": ["shop"]}], ids=["defaults", "all", "one namespace"]
)
def test_the_operator_knows_every_argument(values: dict[str, Any]) -> None:
    """The real command line takes them: an option that was renamed would only show in a crash loop."""
    (command,) = [c for c in typer.main.get_command(operator).commands.values() if c.name == "run"]  # type: ignore[attr-defined]
    first, *rest = container(values)["args"]
    assert first == "run"
    command.make_context("run", rest)


def test_the_pod_is_as_closed_as_it_can_be() -> None:
    pod = pick(render(), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (only,) = pod["containers"]
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


def test_probes_ask_the_health_port() -> None:
    only = container()
    assert {p["name"]: p["containerPort"] for p in only["ports"]} == {"metrics": 8080, "health": 8081}
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert only[probe]["httpGet"] == {"path": path, "port": "health"}
        assert only[probe]["timeoutSeconds"] > 1


def test_alerts_speak_of_metrics_that_exist() -> None:
    telemetry = Telemetry(process=False)
    known = {name for family in telemetry.registry.collect() for name in _series(family.name, family.type)}
    rules = pick(render(ALL_ON), "PrometheusRule")["spec"]["groups"][0]["rules"]
    assert len(rules) >= 5
    for rule in rules:
        used = set(re.findall(r"sophia_\w+", rule["expr"]))
        assert used, rule["alert"]
        assert used <= known, rule["alert"]
        assert {"summary", "description"} == set(rule["annotations"])
        assert "{{ $" in str(rule["annotations"]) or rule["alert"] == "SophiaOperatorDown"


def _series(name: str, kind: str) -> list[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
    return [name + suffix for suffix in suffixes.get(kind, [""])]


def test_a_digest_wins_over_the_tag_and_the_tag_over_the_version() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert container()["image"] == f"sophia-operator:{version}"
    assert container({"image": {"tag": "1.2"}})["image"] == "sophia-operator:1.2"
    digest = "sha256:" + "0" * 64
    assert container({"image": {"tag": "1.2", "digest": digest}})["image"] == f"sophia-operator@{digest}"


def test_one_replica_gets_no_disruption_budget_and_two_do() -> None:
    # A budget over a single replica would only keep nodes from being drained.
    assert "PodDisruptionBudget" not in kinds(render())
    objects = render({"replicas": 2})
    assert pick(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    (spread,) = pick(objects, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    assert "PodDisruptionBudget" not in kinds(render({"replicas": 2, "podDisruptionBudget": {"enabled": False}}))


def test_what_needs_other_operators_is_off_by_default() -> None:
    assert not {"ServiceMonitor", "PrometheusRule", "NetworkPolicy"} & kinds(render())
    assert {"ServiceMonitor", "PrometheusRule", "NetworkPolicy"} <= kinds(render(ALL_ON))


def test_selectors_find_the_pods_and_no_version_is_in_them() -> None:
    objects = render(ALL_ON)
    deployment = pick(objects, "Deployment")
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert set(selector) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    service = pick(objects, "Service")
    for found in (
        selector,
        service["spec"]["selector"],
        pick(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        pick(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ):
        assert found.items() <= labels.items()
    monitor = pick(objects, "ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {e["port"] for e in monitor["spec"]["endpoints"]} <= {p["name"] for p in service["spec"]["ports"]}


@pytest.mark.parametrize(
    ("release", "name"),
    [("sophia-operator", "sophia-operator"), ("prod", "prod-sophia-operator"), ("r" * 53, "r" * 50)],
)
def test_names_stay_short_whatever_the_release_is_called(release: str, name: str) -> None:
    objects = render({"fullnameOverride": ""}, release=release)
    assert pick(objects, "Deployment")["metadata"]["name"] == name
    assert all(len(o["metadata"]["name"]) <= 63 for o in objects)


def test_the_crds_are_the_generated_ones_and_stay_when_the_chart_goes() -> None:
    objects = [o for o in render() if o["kind"] == "CustomResourceDefinition"]
    generated = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    assert sorted(o["metadata"]["name"] for o in objects) == [g["metadata"]["name"] for g in generated]
    for crd in generated:
        mine = pick(objects, "CustomResourceDefinition", crd["metadata"]["name"])
        assert mine["spec"] == crd["spec"]
        assert mine["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "CustomResourceDefinition" not in kinds(render({"crds": {"install": False}}))
    gone = pick(render({"crds": {"keep": False}}), "CustomResourceDefinition", "releases.sophia.ai")
    assert "helm.sh/resource-policy" not in gone["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replica": 2}, "replica"),
        ({"prometheus": {"url": "prometheus:9090"}}, "url"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"watchNamespaces": ["Shop"]}, "watchNamespaces"),
        ({"watchNamespaces": ["shop", "shop"]}, "watchNamespaces"),
        ({"metrics": {"serviceMonitor": {"interval": "30"}}}, "interval"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
        ({"replicas": "two"}, "replicas"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_bad_values_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    done = helm("template", "sophia-operator", str(CHART), values=values)
    assert done.returncode != 0
    assert named in done.stderr


def test_the_schema_knows_every_value() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())

    def compare(given: dict[str, Any], known: dict[str, Any], path: str) -> None:
        if known.get("additionalProperties", True) is not False:
            return  # free form: what Kubernetes knows there, the API server checks
        assert set(given) == set(known["properties"]) - {"global"}, path
        for name, value in given.items():
            if isinstance(value, dict):
                compare(value, known["properties"][name], f"{path}.{name}")

    compare(values, schema, "values")


def test_no_secret_content_is_rendered() -> None:
    assert "kind: Secret" not in render_text(ALL_ON)
