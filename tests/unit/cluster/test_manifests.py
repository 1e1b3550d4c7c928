"""The platform's manifests: complete, hardened, and restarted when their configuration changes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hack.cluster import manifests, platform

TEMPLATES = sorted(path.name for path in manifests.TEMPLATES.glob("*.yaml"))
VALUES = platform._values(platform.NODE)


def objects(name: str, **values: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(manifests.render(name, {**VALUES, **values})))


def named(template: str, kind: str, values: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in objects(template, **(values or {})) if item["kind"] == kind}


DEPLOYMENTS = [
    pytest.param(item, id=item["metadata"]["name"])
    for name in TEMPLATES
    for item in objects(name)
    if item["kind"] == "Deployment"
]


def test_there_are_templates() -> None:
    assert set(TEMPLATES) == {
        *("contour.yaml", "coredns.yaml", "envoy.yaml", "envoy-nodeport.yaml", "gateway.yaml", "prometheus.yaml")
    }


@pytest.mark.parametrize("name", TEMPLATES)
def test_nothing_is_left_unreplaced(name: str) -> None:
    assert "@{" not in manifests.render(name, VALUES)


def test_a_variable_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        manifests.render("envoy.yaml", {})


def test_addresses_come_from_the_settings() -> None:
    values = platform._values(platform.Settings(gateway_ip="10.96.7.7", dns_ip="10.96.0.10"))
    assert named("envoy.yaml", "Service", values)["envoy"]["spec"]["clusterIP"] == "10.96.7.7"
    assert "10.96.7.7" in manifests.render("contour.yaml", values)
    assert "10.96.0.10" in manifests.render("coredns.yaml", values)


def test_envoy_gets_a_port_of_the_node_only_where_it_is_asked_for() -> None:
    assert "envoy-nodeport.yaml" not in platform._templates(platform.NODE)
    settings = platform.Settings(gateway_node_port=30080)
    names = platform._templates(settings)
    # The fixed address is taken before the other Service gets one.
    assert names.index("envoy.yaml") < names.index("envoy-nodeport.yaml")
    rendered = manifests.render("envoy-nodeport.yaml", platform._values(settings))
    service = yaml.safe_load(rendered)["spec"]
    envoy = named("envoy.yaml", "Service")["envoy"]["spec"]
    assert service["type"] == "NodePort"
    assert service["selector"] == envoy["selector"]
    assert service["ports"] == [{**envoy["ports"][0], "nodePort": 30080}]


def test_every_pod_of_the_gateway_is_found_by_the_label_that_gateways_put_there() -> None:
    pods = named("envoy.yaml", "Service")["envoy-pods"]["spec"]
    (gateway,) = named("gateway.yaml", "Gateway").values()
    template = named("envoy.yaml", "Deployment")["envoy"]["spec"]["template"]
    assert pods["clusterIP"] == "None"
    assert pods["selector"] == {"gateway.networking.k8s.io/gateway-name": gateway["metadata"]["name"]}
    assert pods["selector"].items() <= template["metadata"]["labels"].items()
    # Where no Service changes the port, that of the Service must be the one that the pods listen at.
    (port,) = [p for p in template["spec"]["containers"][0]["ports"] if p["name"] == "http"]
    assert [p["port"] for p in pods["ports"]] == [port["containerPort"]]


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_pods_keep_to_the_restricted_standard(deployment: dict[str, Any]) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsGroup"] > 0  # a numeric USER leaves the group at 0 otherwise
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert container["image"].startswith("localhost/")


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_pods_say_what_they_need_and_when_they_are_ready(deployment: dict[str, Any]) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert "readinessProbe" in pod["containers"][0]
    for container in pod["containers"]:
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


def config_hash(name: str, values: dict[str, str], identities: dict[str, str] | None = None) -> str:
    for item in yaml.safe_load_all(manifests.render(name, values, identities)):
        if item["kind"] == "Deployment":
            return str(item["spec"]["template"]["metadata"]["annotations"]["sophia.ai/config-hash"])
    raise AssertionError(f"no Deployment in {name}")


def test_a_changed_configuration_restarts_the_pods() -> None:
    before = config_hash("contour.yaml", VALUES)
    assert config_hash("contour.yaml", VALUES) == before
    assert config_hash("contour.yaml", {**VALUES, "GATEWAY_IP": "10.0.0.1"}) != before


def test_an_image_with_new_content_under_its_old_tag_restarts_the_pods() -> None:
    old, new = ({"PROMETHEUS_IMAGE": key} for key in ("key-1", "key-2"))
    assert config_hash("prometheus.yaml", VALUES, old) != config_hash("prometheus.yaml", VALUES, new)
    assert config_hash("contour.yaml", VALUES, old) == config_hash("contour.yaml", VALUES, new)
    assert "key-1" not in manifests.render("prometheus.yaml", VALUES, old)


def test_prometheus_looks_every_second_and_copies_the_labels_that_gates_select_by() -> None:
    (config,) = [item for item in objects("prometheus.yaml") if item["kind"] == "ConfigMap"]
    settings = yaml.safe_load(config["data"]["prometheus.yml"])
    assert settings["global"]["scrape_interval"] == settings["global"]["evaluation_interval"] == "1s"
    jobs = {job["job_name"]: job for job in settings["scrape_configs"]}
    copied = {rule["target_label"] for rule in jobs["pods"]["relabel_configs"] if "target_label" in rule}
    assert {"namespace", "pod", "sophia_release", "sophia_color", "sophia_service"} <= copied


def test_streams_are_joined_with_one_separator() -> None:
    joined = manifests.join(["---\na: 1\n---\n", "b: 2", "---\nc: 3\n"])
    assert list(yaml.safe_load_all(joined)) == [{"a": 1}, {"b": 2}, {"c": 3}]
