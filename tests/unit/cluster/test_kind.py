"""What the kind provider runs: its commands are recorded, because Docker is not everywhere."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from hack.cluster import binaries, shell, versions
from hack.cluster.providers import kind
from hack.cluster.providers.base import ProviderError


class Docker:
    """Stands in for docker, kind and kubectl, as far as the provider uses them."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.clusters: set[str] = set()
        self.ran: list[list[str]] = []
        self.api_answers = True
        self.interrupt_creation = False

    def run(self, argv: Sequence[str | Path], **_: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in argv]
        words[0] = Path(words[0]).name
        self.ran.append(words)
        stdout = ""
        match words[:3]:
            case ["kind", "get", "clusters"]:
                stdout = "\n".join(sorted(self.clusters))
            case ["kind", "create", "cluster"]:
                self.clusters.add("sophia")
                if self.interrupt_creation:
                    raise KeyboardInterrupt
                (self.state / "kubeconfig").write_text("current-context: kind-sophia\n")
            case ["kind", "delete", "cluster"]:
                self.clusters.discard("sophia")
            case ["docker", "inspect", _]:
                stdout = "172.18.0.2 \n"
            case ["kubectl", *_]:
                stdout = "ok" if self.api_answers else ""
        return subprocess.CompletedProcess(words, 0, stdout, "")

    def count(self, *start: str) -> int:
        return sum(words[: len(start)] == list(start) for words in self.ran)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    docker = Docker(tmp_path / "state")
    monkeypatch.setenv("SOPHIA_CACHE", str(tmp_path))
    monkeypatch.setenv("SOPHIA_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(shell, "run", docker.run)
    monkeypatch.setattr(binaries, "ensure", lambda _names: tmp_path / "bin")
    return docker


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "operator.tar"
    path.write_text("image")
    return path


def test_the_configuration_has_the_addresses_of_the_other_provider_and_a_pinned_image() -> None:
    config = yaml.safe_load(kind.config())
    assert config["networking"] == {"podSubnet": "10.77.16.0/24", "serviceSubnet": "10.77.128.0/20"}
    assert [node["image"] for node in config["nodes"]] == [versions.image("kind-node")]


def test_the_command_lines() -> None:
    program = Path("/bin/kind")
    assert kind.create_command(program, Path("/s/kind.yaml"), Path("/s/kubeconfig")) == [
        "/bin/kind",
        "create",
        "cluster",
        "--name=sophia",
        "--config=/s/kind.yaml",
        "--kubeconfig=/s/kubeconfig",
        "--wait=180s",
    ]
    assert kind.load_command(program, Path("/a.tar")) == [
        "/bin/kind",
        "load",
        "image-archive",
        "/a.tar",
        "--name=sophia",
    ]
    assert kind.delete_command(program, Path("/s/kubeconfig"))[1:3] == ["delete", "cluster"]
    assert kind.route_commands("172.18.0.2") == [
        ["ip", "route", "replace", "10.77.16.0/24", "via", "172.18.0.2"],
        ["ip", "route", "replace", "10.77.128.0/20", "via", "172.18.0.2"],
    ]


def test_up_creates_loads_and_is_then_kept(docker: Docker, archive: Path) -> None:
    provider = kind.Kind()
    provider.up([archive])
    assert docker.count("kind", "create", "cluster") == 1
    assert docker.count("kind", "load", "image-archive") == 1
    provider.up([archive])
    assert docker.count("kind", "create", "cluster") == 1
    assert docker.count("kind", "load", "image-archive") == 1
    assert provider.problems() == []


def test_a_changed_image_is_loaded_again(docker: Docker, archive: Path) -> None:
    provider = kind.Kind()
    provider.up([archive])
    archive.write_text("another image")
    provider.up([archive])
    assert docker.count("kind", "load", "image-archive") == 2


def test_a_creation_that_was_interrupted_is_made_anew(docker: Docker, archive: Path) -> None:
    provider = kind.Kind()
    docker.interrupt_creation = True
    with pytest.raises(KeyboardInterrupt):
        provider.up([archive])
    docker.interrupt_creation = False
    provider.up([archive])
    assert docker.count("kind", "delete", "cluster") == 1
    assert docker.count("kind", "create", "cluster") == 2
    assert provider.problems() == []


def test_a_cluster_that_does_not_answer_is_made_anew(docker: Docker, archive: Path) -> None:
    provider = kind.Kind()
    provider.up([archive])
    docker.api_answers = False
    assert provider.problems() == ["its API server does not answer"]
    provider.up([archive])
    assert docker.count("kind", "delete", "cluster") == 1


def test_down_deletes_cluster_and_routes_and_can_be_repeated(docker: Docker, archive: Path) -> None:
    provider = kind.Kind()
    provider.up([archive])
    assert provider.down()
    assert docker.clusters == set()
    assert docker.count("ip", "route", "delete") == 2
    assert not docker.state.exists()
    assert not provider.down()
    assert provider.problems() is None


def test_load_without_a_cluster_says_what_to_do(docker: Docker, archive: Path) -> None:
    with pytest.raises(ProviderError, match="up` first"):
        kind.Kind().load([archive])


@pytest.mark.parametrize(
    ("system", "user", "reaches"), [("Linux", 0, True), ("Linux", 1000, False), ("Darwin", 0, False)]
)
def test_the_host_gets_routes_where_it_can_have_them(
    docker: Docker, monkeypatch: pytest.MonkeyPatch, system: str, user: int, reaches: bool
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("os.geteuid", lambda: user)
    settings = kind.Kind().platform()
    assert settings.host_reaches_services is reaches
    assert settings.dns_ip is None
    assert docker.count("ip", "route", "replace") == (2 if reaches else 0)


def test_images_that_kind_brings_itself_are_not_built_for_it() -> None:
    images = kind.Kind().images
    assert images is not None
    assert not {"coredns", "pause"} & set(images)
    assert "sophia-operator" in images


def test_without_a_docker_daemon_the_check_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "docker_works", lambda: False)
    with pytest.raises(ProviderError, match="CLUSTER=node"):
        kind.Kind().check()


@pytest.mark.parametrize(("code", "stdout", "works"), [(0, "28.1\n", True), (0, "\n", False), (1, "", False)])
def test_docker_works_when_a_daemon_answers(
    monkeypatch: pytest.MonkeyPatch, code: int, stdout: str, works: bool
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/docker")
    monkeypatch.setattr(shell, "run", lambda argv, **_: subprocess.CompletedProcess(argv, code, stdout, ""))
    assert kind.docker_works() is works
