"""`manifests/`: what kustomize users get is what the chart renders, and the samples work at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from hack.generate import manifests
from sophia_operator.cli.lint import check_files
from tests.support.helm import ROOT, run

SAMPLES: Final = ROOT / "manifests/samples"
FILES: Final = sorted(SAMPLES.glob("*.yaml"))
#: They need images and keys of their reader's own.
GATEWAYS: Final = sorted(SAMPLES.glob("gateways/*.yaml"))


def objects(path: Path) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


def host_names(value: Any) -> list[str]:
    """All that an object claims, wherever it does."""
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    own = value["hostnames"] if isinstance(value, dict) and "hostnames" in value else []
    return [*own, *(name for part in parts for name in host_names(part))]


def services() -> list[Any]:
    return [
        pytest.param(o, id=o["metadata"]["name"]) for f in FILES for o in objects(f) if o["kind"] == "ManagedService"
    ]


def test_the_base_is_what_the_chart_renders() -> None:
    assert manifests.drift(manifests.outputs(manifests.render_chart())) == ""


def test_the_base_keeps_the_reasons_and_loses_what_is_helms() -> None:
    text = "".join(path.read_text() for path in (ROOT / manifests.BASE).glob("*.yaml"))
    assert "# One of the replicas works at a time" in text
    assert "helm" not in text.lower().replace("it is rendered by helm", "")


def test_a_stale_base_is_noticed() -> None:
    rendered = manifests.render_chart().replace("verbs: [get, list, watch]", "verbs: [get]")
    assert "-  verbs: [get, list, watch]" in manifests.drift(manifests.outputs(rendered))


def recipe(target: str) -> list[str]:
    """The Python commands that make runs for a target."""
    text = (ROOT / "Makefile").read_text()
    (body,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    return re.findall(r"^\t\$\(RUN\) (python .+)$", body, re.MULTILINE)


def test_make_verify_checks_all_that_make_generate_writes() -> None:
    written = recipe("generate")
    assert len(written) == 2
    assert recipe("verify") == [f"{command} --check" for command in written]


def test_the_namespace_comes_first() -> None:
    assert FILES[0].name == "00-namespace.yaml"
    (namespace,) = objects(FILES[0])
    everywhere = {o["metadata"].get("namespace") for f in [*FILES[1:], *GATEWAYS] for o in objects(f)}
    assert everywhere == {namespace["metadata"]["name"]}


def test_the_samples_pass_the_offline_check() -> None:
    report = check_files([SAMPLES])
    assert report.objects == 14
    assert report.findings == []


@pytest.mark.parametrize("service", services())
def test_every_sample_tells_its_release_and_stands_restricted(service: Any) -> None:
    (container,) = service["spec"]["template"]["spec"]["containers"]
    (release,) = [e for e in container["env"] if e["name"] == "SOPHIA_RELEASE"]
    assert release["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['sophia.ai/release']"
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["image"] == "localhost/sophia-demo-app:dev"
    assert container["imagePullPolicy"] in ("IfNotPresent", "Never")
    assert set(container["resources"]) == {"requests", "limits"}


def test_samples_claim_host_names_of_their_own() -> None:
    names = [name for f in [*FILES, *GATEWAYS] for o in objects(f) for name in host_names(o.get("spec", {}))]
    assert len(names) == len(set(names)) == 7


@pytest.mark.apiserver
def test_the_server_takes_the_base_and_then_the_samples_whole(apiserver: Path) -> None:
    def kubectl(*arguments: str, stdin: str | None = None) -> str:
        done = run("kubectl", f"--kubeconfig={apiserver}", *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        return done.stdout

    kubectl("apply", "--server-side", "-k", str(ROOT / manifests.BASE))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "managedservices.sophia.ai")
    said = kubectl("apply", "-f", str(SAMPLES))
    assert said.count("managedservice.sophia.ai/") == 6
    assert said.count("connectionpool.sophia.ai/") == 1
    assert said.count("cachetier.sophia.ai/") == 3
    assert said.count("modelroute.sophia.ai/") == 1
    listed = json.loads(kubectl("get", "managedservices", "-n", "sophia-samples", "-o", "json"))
    assert len(listed["items"]) == 6
    for service in listed["items"]:
        # The template as a pod: what the operator adds are labels and a preStop hook.
        template = service["spec"]["template"]
        labels = {"sophia.ai/release": "x-1", **template.get("metadata", {}).get("labels", {})}
        metadata = {"name": "trial", "namespace": "sophia-samples", "labels": labels}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        kubectl("create", "--dry-run=server", "--validate=strict", "-f-", stdin=json.dumps(pod))
    told = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(SAMPLES / "gateways"))
    assert told.count("modelroute.sophia.ai/") == len(GATEWAYS) == 2
    kubectl("delete", "-f", str(SAMPLES), "--wait=false")


def test_the_oldest_kubernetes_is_the_same_everywhere_that_it_is_named() -> None:
    chart = yaml.safe_load((ROOT / "charts/sophia-operator/Chart.yaml").read_text())
    oldest = re.fullmatch(r">=(\d+\.\d+)\.0-0", chart["kubeVersion"])
    assert oldest is not None
    for page in ("docs/how-to/install.md", "docs/design/rendering.md"):
        named = re.findall(r"Kubernetes (\d+\.\d+) or newer", (ROOT / page).read_text())
        assert named == [oldest[1]], page
