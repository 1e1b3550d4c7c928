"""What the kind provider runs: its commands are recorded, because Docker is not everywhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from hack.cluster import shell, versions
from hack.cluster.providers import kind, routes
from hack.cluster.providers.base import ProviderError
from tests.unit.cluster.conftest import Docker


def test_the_configuration_has_the_addresses_of_the_other_provider_and_a_pinned_image() -> None:
    config = yaml.safe_load(kind.config())
    assert config["networking"] == {"podSubnet": "10.77.16.0/24", "serviceSubnet": "10.77.128.0/20"}
    assert [node["image"] for node in config["nodes"]] == [versions.image("kind-node")]


def test_a_port_of_this_machine_alone_leads_to_the_gateways_port_of_the_node(docker: Docker, archive: Path) -> None:
    kind.Kind().up([archive])
    ((way_in,),) = (node["extraPortMappings"] for node in yaml.safe_load(kind.config())["nodes"])
    assert way_in["listenAddress"] == "127.0.0.1"
    assert "hostPort" not in way_in  # kind takes a free one
    assert kind.Kind().platform().gateway_node_port == way_in["containerPort"]
    assert kind.Kind().gateway_url() == "http://127.0.0.1:49153"
    assert docker.count("docker", "port", "sophia-control-plane", f"{way_in['containerPort']}/tcp") == 1


def test_a_cluster_without_that_port_is_to_be_made_anew(docker: Docker) -> None:
    docker.published = ""
    with pytest.raises(ProviderError, match="Make the cluster anew"):
        kind.Kind().gateway_url()


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
    assert routes.commands("replace", "172.18.0.2") == [
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


def test_a_silence_that_ends_costs_no_cluster(docker: Docker, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = kind.Kind()
    provider.up([archive])
    docker.api_answers = False

    def sleep(_seconds: float) -> None:
        docker.api_answers = True

    monkeypatch.setattr(kind, "_ANSWER_SECONDS", 60)
    monkeypatch.setattr("time.sleep", sleep)
    provider.up([archive])
    assert docker.count("kind", "delete", "cluster") == 0
    assert docker.count("kind", "create", "cluster") == 1


def test_a_cluster_that_is_not_ours_is_left_alone(
    docker: Docker, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.make()
    with pytest.raises(ProviderError, match=r"left alone.*delete cluster --name=sophia.*CLUSTER_ALLOW=kind-sophia"):
        kind.Kind().up([archive])
    assert not kind.Kind().down()
    assert "left alone" in capsys.readouterr().err
    assert docker.count("kind", "delete") == 0


def test_a_cluster_made_by_somebody_else_after_ours_went_is_left_alone(docker: Docker, archive: Path) -> None:
    provider = kind.Kind()
    provider.up([archive])
    docker.make()
    docker.api_answers = False
    with pytest.raises(ProviderError, match="left alone"):
        provider.up([archive])
    assert not provider.down()
    assert docker.clusters == {"sophia"}


def test_a_creation_that_failed_claims_no_later_cluster(docker: Docker, archive: Path) -> None:
    docker.fail_creation = True
    with pytest.raises(shell.CommandError):
        kind.Kind().up([archive])
    docker.make()
    with pytest.raises(ProviderError, match="left alone"):
        kind.Kind().up([archive])
    assert docker.count("kind", "delete") == 0


def test_down_after_an_interrupted_creation_deletes_what_there_is(docker: Docker, archive: Path) -> None:
    docker.interrupt_creation = True
    with pytest.raises(KeyboardInterrupt):
        kind.Kind().up([archive])
    assert kind.Kind().down()
    assert docker.clusters == set()


@pytest.mark.parametrize(("system", "user"), [("Darwin", 0), ("Darwin", 501), ("Linux", 0), ("Linux", 1000)])
def test_without_the_program_ip_up_and_down_work(
    docker: Docker, archive: Path, monkeypatch: pytest.MonkeyPatch, system: str, user: int
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("os.geteuid", lambda: user)
    docker.missing = "ip"
    provider = kind.Kind()
    provider.up([archive])
    assert not provider.platform().host_reaches_services
    assert provider.down()
    assert docker.clusters == set()
    assert docker.count("ip") == (3 if (system, user) == ("Linux", 0) else 0)


def test_who_may_not_remove_routes_is_told_that_they_stay(
    docker: Docker, archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    kind.Kind().up([archive])
    assert kind.Kind().down()
    assert "sudo ip route delete 10.77.128.0/20 via 172.18.0.2" in capsys.readouterr().err


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
    docker.make()
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
