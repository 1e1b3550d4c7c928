"""The command line against a real API server: reading, patching, watching, and what it says when that fails."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner

from sophia_operator.cli import kube
from sophia_operator.cli.app import app
from sophia_operator.cli.guard import unchanged, untouched
from sophia_operator.cli.kube import KubeApi
from sophia_operator.cli.live import _pump
from sophia_operator.cli.session import ChangedError, CliError, Current, News, Seen, Trouble
from tests.support.helm import ROOT
from tests.support.helm import run as run_program
from tests.support.objects import LATCHED, ROLLING, rolled_back, service, shifting, stable
from tests.unit.cli.test_pools import FULL, pool

pytestmark = pytest.mark.apiserver

NAMESPACE: Final = "cli-shop"
_PATIENCE_SECONDS: Final = 20


class Cluster:
    """A namespace of a real API server, with the objects of a rollout in it."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def kubectl(self, *arguments: str, obj: Any = None) -> str:
        stdin = None if obj is None else json.dumps(obj)
        done = run_program("kubectl", f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def put(self, *objects: dict[str, Any]) -> None:
        """Create objects with their status, as the operator would."""
        for obj in objects:
            kind = f"{obj['kind'].lower()}s"
            metadata = {k: v for k, v in obj["metadata"].items() if k in ("name", "labels")}
            bare = {**obj, "metadata": {**metadata, "namespace": NAMESPACE}, "status": None}
            self.kubectl("apply", "-f-", obj={k: v for k, v in bare.items() if v is not None})
            self.set_status(kind, metadata["name"], obj.get("status", {}))

    def set_status(self, kind: str, name: str, status: dict[str, Any]) -> None:
        patch = json.dumps({"status": status})
        self.kubectl("patch", kind, name, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch)

    def read(self, kind: str, name: str) -> Any:
        return json.loads(self.kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json"))

    def sophia(self, *arguments: str, stdin: str | None = None) -> tuple[int, str]:
        """Exit code and all that was said."""
        words = [*arguments, "--kubeconfig", str(self.kubeconfig), "-n", NAMESPACE]
        result = CliRunner().invoke(app, words, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output


@pytest.fixture
def cluster(apiserver: Path) -> Iterator[Cluster]:
    there = Cluster(apiserver)
    there.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    there.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))
    there.kubectl("apply", "-f-", obj={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield there
    there.kubectl("delete", "managedservices,releases,connectionpools", "--all", "-n", NAMESPACE)


def test_reading_pools(cluster: Cluster) -> None:
    cluster.put(pool(**FULL))
    code, said = cluster.sophia("pool", "orders")
    assert code == 0
    assert "192.0.2.7, Primary, PostgreSQL 15.4" in said
    code, said = cluster.sophia("pool", "-A")
    assert code == 0
    assert NAMESPACE in said
    code, said = cluster.sophia("pool", "gone")
    assert code == 2
    assert f"ConnectionPool gone not found in namespace {NAMESPACE}" in said
    assert "`kubectl sophia pool -A` lists all pools" in said


def test_reading(cluster: Cluster) -> None:
    cluster.put(service(status=ROLLING), stable(), shifting())
    code, said = cluster.sophia("get")
    assert (code, "hello-3 Shifting 25%" in said) == (0, True), said
    assert NAMESPACE in cluster.sophia("get", "-A")[1]
    code, said = cluster.sophia("status", "hello")
    assert (code, "success-rate" in said) == (0, True), said
    code, said = cluster.sophia("explain", "hello")
    assert (code, "hello-3 is at stage 2 of 4" in said) == (0, True), said
    code, said = cluster.sophia("history", "hello")
    assert (code, "Promoted, serves" in said) == (0, True), said


def test_an_order_reaches_the_release_and_says_who_gave_it(cluster: Cluster) -> None:
    cluster.put(service(status=ROLLING), stable(), shifting())
    before = cluster.read("release", "hello-3")
    code, said = cluster.sophia("pause", "hello", "--reason", "odd p99")
    assert code == 0, said
    after = cluster.read("release", "hello-3")
    assert after["spec"]["intent"] == "Pause"
    assert after["spec"]["reason"].startswith("odd p99 [admin, 20")
    assert after["spec"]["snapshot"] == before["spec"]["snapshot"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert cluster.sophia("resume", "hello")[0] == 0
    assert cluster.read("release", "hello-3")["metadata"]["generation"] == after["metadata"]["generation"] + 1
    assert cluster.sophia("abort", "hello")[0] == 0
    assert cluster.read("release", "hello-3")["spec"]["intent"] == "Abort"


def test_the_template_of_an_old_release_replaces_the_new_one_whole(cluster: Cluster) -> None:
    extra = {"spec": {"containers": [{"name": "app", "image": "x"}], "hostNetwork": True}}
    cluster.put(service(status=LATCHED, spec={"template": extra}), stable(1, color="green"), stable(2, promoted=10))
    code, said = cluster.sophia("rollback", "hello", "--to", "1", "--yes")
    assert code == 0, said
    template = cluster.read("managedservice", "hello")["spec"]["template"]
    assert template == {"spec": {"containers": [{"name": "app", "image": "localhost/hello:1"}]}}


def test_a_service_that_changed_meanwhile_is_not_overwritten(cluster: Cluster) -> None:
    cluster.put(service(status=LATCHED))
    api = KubeApi(kubeconfig=str(cluster.kubeconfig), context=None, namespace=NAMESPACE)
    seen = cluster.read("managedservice", "hello")["metadata"]
    change: list[dict[str, Any]] = [{"op": "replace", "path": "/spec/replicas", "value": 9}]
    # The operator writes statuses all the time: that is no change of what people want.
    cluster.set_status("managedservices", "hello", {"lastRevision": 3})
    with pytest.raises(ChangedError, match="was changed by somebody else meanwhile: run the command again"):
        api.patch_service("hello", [untouched(seen), *change])
    api.patch_service("hello", [unchanged(seen), *change])
    assert cluster.read("managedservice", "hello")["spec"]["replicas"] == 9
    with pytest.raises(ChangedError):
        api.patch_service("hello", [unchanged(seen), {**change[0], "value": 8}])
    assert cluster.read("managedservice", "hello")["spec"]["replicas"] == 9
    with pytest.raises(CliError, match="the API server refused") as refused:
        api.patch_service("hello", [{**change[0], "value": -1}])
    assert not isinstance(refused.value, ChangedError), "what is wrong with it is said"


def test_a_watch_tells_what_is_there_and_then_what_changes(cluster: Cluster) -> None:
    cluster.put(service(status=ROLLING), stable(), shifting())
    api = KubeApi(kubeconfig=str(cluster.kubeconfig), context=None, namespace=NAMESPACE)
    heard: queue.SimpleQueue[News] = queue.SimpleQueue()
    for stream in api.watch("hello"):
        threading.Thread(target=_pump, args=(stream, heard), daemon=True).start()

    def hear() -> tuple[str, str, Any]:
        news: News = Current("")
        while isinstance(news, Current):
            news = heard.get(timeout=_PATIENCE_SECONDS)
        assert isinstance(news, Seen), news
        return news.kind, news.name, news.obj

    assert {hear()[:2] for _ in range(3)} == {
        ("managedservices", "hello"),
        ("releases", "hello-2"),
        ("releases", "hello-3"),
    }
    cluster.put(service(name="stranger"))  # not ours: says nothing
    cluster.set_status("releases", "hello-3", rolled_back()["status"])
    kind, name, obj = hear()
    assert (kind, name, obj["status"]["state"]) == ("releases", "hello-3", "RolledBack")
    cluster.kubectl("delete", "release", "hello-3", "-n", NAMESPACE)
    assert hear() == ("releases", "hello-3", None)
    assert heard.empty()


def test_following_a_rollout_to_its_end(cluster: Cluster) -> None:
    cluster.put(service(status=ROLLING), stable(), shifting())
    ended: list[tuple[int, str]] = []
    follower = threading.Thread(target=lambda: ended.append(cluster.sophia("status", "hello", "--wait")), daemon=True)
    follower.start()
    cluster.set_status("releases", "hello-3", rolled_back()["status"])
    cluster.set_status("managedservices", "hello", LATCHED)
    follower.join(_PATIENCE_SECONDS)
    assert ended, "it never ended"
    code, said = ended[0]
    assert code == 1
    assert "hello-3 RolledBack" in said.splitlines()[-1]


def write_kubeconfig(path: Path, source: Path, **cluster_fields: Any) -> Path:
    config = yaml.safe_load(source.read_text())
    config["clusters"][0]["cluster"].update(cluster_fields)
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_failures_are_one_line_and_exit_code_2(cluster: Cluster, tmp_path: Path) -> None:
    def fails(kubeconfig: Path, *arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--kubeconfig", str(kubeconfig)])
        assert result.exit_code == 2, result.output
        (line,) = result.stderr.splitlines()
        return line

    assert "nobody not found in namespace default" in fails(cluster.kubeconfig, "status", "nobody")
    assert "no usable kubeconfig" in fails(tmp_path / "absent", "get")
    for content in ("users: [", "just some words", "- a\n- b\n"):
        (tmp_path / "broken").write_text(content)
        assert f"no usable kubeconfig {tmp_path}/broken: " in fails(tmp_path / "broken", "get")
    assert "no context 'moon'" in fails(cluster.kubeconfig, "get", "--context", "moon")
    closed = write_kubeconfig(tmp_path / "closed", cluster.kubeconfig, server="https://127.0.0.1:1")
    assert "cannot be reached" in fails(closed, "get")
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": "not-a-token"}
    stranger = tmp_path / "stranger"
    stranger.write_text(yaml.safe_dump(config))
    assert "refused (401)" in fails(stranger, "get")


def test_a_wrong_name_and_missing_crds_are_told_apart(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    context = yaml.safe_load(cluster.kubeconfig.read_text())["current-context"]
    code, said = cluster.sophia("status", "nobody")
    assert code == 2
    assert said.startswith(f"error: ManagedService nobody not found in namespace {NAMESPACE} (context {context});")
    with pytest.raises(CliError, match=f"Release nobody-1 not found in namespace {NAMESPACE}"):
        KubeApi(kubeconfig=str(cluster.kubeconfig), context=None, namespace=NAMESPACE).patch_release("nobody-1", {})
    # A version that nobody installed stands for CRDs that nobody installed: other tests need those that are there.
    monkeypatch.setattr(kube, "VERSION", "v9")
    for words in (["status", "nobody"], ["get"], ["get", "-A"]):
        code, said = cluster.sophia(*words)
        assert (code, said.strip()) == (
            2,
            f"error: the cluster of context {context} has no sophia.ai/v9: install the CRDs (docs/how-to/install.md)",
        )


def test_the_namespace_is_the_contexts_own(cluster: Cluster, tmp_path: Path) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = "elsewhere"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    assert KubeApi(kubeconfig=str(tmp_path / "config"), context=None, namespace=None).namespace == "elsewhere"
    assert KubeApi(kubeconfig=str(cluster.kubeconfig), context=None, namespace=None).namespace == "default"


def test_a_broken_watch_is_told_and_tried_again(cluster: Cluster, tmp_path: Path) -> None:
    closed = write_kubeconfig(tmp_path / "closed", cluster.kubeconfig, server="https://127.0.0.1:1")
    api = KubeApi(kubeconfig=str(closed), context=None, namespace=NAMESPACE)
    first = next(iter(api.watch("hello")[0]))
    assert isinstance(first, Trouble)
    assert "cannot be reached" in first.message
