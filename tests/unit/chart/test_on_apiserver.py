"""What a real API server says to the rendered chart."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import controlplane
from sophia_operator.api.schema.kinds import KINDS
from tests.support.helm import CHART, NAMESPACE, ROOT, pick, render, run
from tests.unit.chart.test_values import ALL_ON

pytestmark = pytest.mark.apiserver

#: Kinds of the Prometheus Operator, which is not there.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}


class Kubectl:
    """kubectl as the administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        self._flag = f"--kubeconfig={kubeconfig}"

    def __call__(self, *arguments: str, objects: list[dict[str, Any]] | None = None) -> str:
        done = self.ask(*arguments, objects=objects)
        assert done[0] == 0, done[1]
        return done[1]

    def ask(self, *arguments: str, objects: list[dict[str, Any]] | None = None) -> tuple[int, str]:
        """Exit code, and all that was said."""
        stdin = None if objects is None else yaml.safe_dump_all(objects)
        done = run("kubectl", self._flag, *arguments, stdin=stdin)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def kubectl(apiserver: Path) -> Iterator[Kubectl]:
    call = Kubectl(apiserver)
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    names = [NAMESPACE, "chart-shop"]
    call(
        "apply",
        "-f-",
        objects=[
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": restricted}}
            for name in names
        ],
    )
    yield call
    call("delete", "namespace", *names, "--wait=false")


@pytest.mark.parametrize(
    "values",
    [{}, {"replicas": 0}, {"watchNamespaces": ["chart-shop"]}, ALL_ON],
    ids=["defaults", "no replicas", "one namespace", "everything on"],
)
def test_the_server_accepts_every_object_without_a_warning(kubectl: Kubectl, values: dict[str, Any]) -> None:
    objects = [o for o in render(values) if o["kind"] not in FOREIGN]
    said = kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f-", objects=objects)
    assert "Warning" not in said
    assert said.count("serverside-applied") == len(objects)


@pytest.mark.parametrize("values", [{}, ALL_ON], ids=["defaults", "everything on"])
def test_a_namespace_that_enforces_restricted_admits_the_pod(kubectl: Kubectl, values: dict[str, Any]) -> None:
    template = pick(render({**values, "priorityClassName": ""}), "Deployment")["spec"]["template"]
    metadata = {**template["metadata"], "name": "trial", "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    kubectl("create", "--dry-run=server", "-f-", objects=[pod])
    pod["spec"] = json.loads(json.dumps(pod["spec"]))
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]
    code, said = kubectl.ask("create", "--dry-run=server", "-f-", objects=[pod])
    assert code != 0
    assert "violates PodSecurity" in said, "the namespace does not enforce anything"


def test_the_rights_as_the_server_sees_them(kubectl: Kubectl) -> None:
    values = {"fullnameOverride": "rights", "watchNamespaces": ["chart-shop"]}
    kinds = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount")
    kubectl("apply", "-f-", objects=[o for o in render(values) if o["kind"] in kinds])
    yes = [
        ("list", "/secrets", "chart-shop"),
        ("create", "apps/deployments", "chart-shop"),
        ("patch", "gateway.networking.k8s.io/httproutes", "chart-shop"),
        ("watch", "gateway.networking.k8s.io/gateways", "elsewhere"),
        ("list", "/namespaces", ""),
        ("create", "coordination.k8s.io/leases", NAMESPACE),
        ("delete", "/pods", "chart-shop"),  # nodes of a Redis level, as it rolls
    ]
    no = [
        ("list", "/secrets", "elsewhere"),
        ("list", "/secrets", NAMESPACE),
        ("patch", "sophia.ai/releases", "chart-shop"),
        ("delete", "sophia.ai/managedservices", "chart-shop"),
        ("delete", "/pods", "elsewhere"),
        ("create", "/pods", "chart-shop"),
        ("patch", "coordination.k8s.io/leases", NAMESPACE),  # only its own, by name
        ("patch", "gateway.networking.k8s.io/gateways", "chart-shop"),
        ("create", "rbac.authorization.k8s.io/clusterroles", ""),
    ]
    for expected, questions in ((True, yes), (False, no)):
        for verb, resource, namespace in questions:
            assert may(kubectl, verb, resource, namespace) is expected, (verb, resource, namespace)


def may(kubectl: Kubectl, verb: str, resource: str, namespace: str) -> bool:
    """Ask the server itself: `kubectl auth can-i` guesses about kinds that are not installed."""
    group, name = resource.split("/")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{NAMESPACE}:rights",
            "resourceAttributes": {"verb": verb, "group": group, "resource": name, "namespace": namespace},
        },
    }
    return bool(json.loads(kubectl("create", "-o", "json", "-f-", objects=[review]))["status"]["allowed"])


def documented_upgrade() -> list[str]:
    """The flags of the `helm upgrade` that users are told to run."""
    page = (ROOT / "docs/how-to/install.md").read_text()
    (flags,) = re.findall(
        r"^    helm upgrade sophia-operator charts/sophia-operator -n sophia-system (.+)$", page, re.M
    )
    return str(flags).split()


def make_newer(chart: Path) -> None:
    """Turn the chart into a later version, which has a new short name in a CRD and a new value that is used."""
    crd = chart / "files/crds/releases.sophia.ai.yaml"
    crd.write_text(crd.read_text().replace("    - rel\n", "    - rel\n    - rls\n"))
    values = chart / "values.yaml"
    values.write_text(values.read_text() + "novelty:\n  deep:\n    word: as-the-new-chart-has-it\n")
    schema = chart / "values.schema.json"
    known = json.loads(schema.read_text())
    known["properties"]["novelty"] = {"type": "object"}
    schema.write_text(json.dumps(known))
    labels = chart / "templates/_helpers.tpl"
    line = "app.kubernetes.io/part-of:"
    assert line in labels.read_text()
    labels.write_text(labels.read_text().replace(line, "novelty: {{ .Values.novelty.deep.word }}\n" + line, 1))


@pytest.fixture
def untouched() -> Iterator[Path]:
    """A server without CRDs, for one test: to let go of CRDs that were changed takes a server more than a minute at
    times, and others would wait for it."""
    with controlplane.running() as kubeconfig:
        yield kubeconfig


def test_helm_installs_upgrades_and_leaves_the_crds(untouched: Path, tmp_path: Path) -> None:
    kubectl = Kubectl(untouched)
    crds = [kind.crd_name for kind in KINDS]
    chart = str(shutil.copytree(CHART, tmp_path / "chart"))
    place = [f"--kubeconfig={untouched}", "--namespace=chart-helm"]

    def helm(*arguments: str) -> None:
        done = run("helm", *arguments, *place)
        assert done.returncode == 0, done.stdout + done.stderr

    url = "http://prometheus.monitoring.svc:9090"
    helm("install", "trial", chart, "--create-namespace", "--set", f"prometheus.url={url}")
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", *crds)

    make_newer(tmp_path / "chart")
    refused = run("helm", "upgrade", "trial", chart, "--reuse-values", *place)
    assert "nil pointer" in refused.stderr, "without the new chart's defaults there would be nothing to warn of"
    helm("upgrade", "trial", chart, *documented_upgrade())
    # The newer CRD came along: this is what Helm's own crds/ folder would not do.
    assert "rls" in kubectl("get", "crd", "releases.sophia.ai", "-o", "jsonpath={.spec.names.shortNames}")
    (deployment,) = json.loads(kubectl("get", "deployments", "-n", "chart-helm", "-o", "json"))["items"]
    assert deployment["metadata"]["labels"]["novelty"] == "as-the-new-chart-has-it"
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert f"--prometheus-url={url}" in container["args"], "what the user had set is still set"

    helm("uninstall", "trial")
    assert kubectl("get", "deployments", "-n", "chart-helm", "-o", "name") == ""
    assert len(kubectl("get", "crd", *crds, "-o", "name").splitlines()) == len(crds)
    helm("install", "trial", chart)
    helm("uninstall", "trial")
