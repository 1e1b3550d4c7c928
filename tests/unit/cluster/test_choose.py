"""Which provider is taken, and what is said when none can be."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hack.cluster.providers import base, choose


def decide(
    environment: Mapping[str, str] | None = None,
    *,
    docker: bool = False,
    kind: bool = False,
    no_node: str | None = None,
) -> tuple[str, str]:
    return choose.choose(
        environment or {},
        docker_works=lambda: docker,
        can_get_kind=lambda: kind,
        why_no_node=lambda: no_node,
    )


@pytest.mark.parametrize("name", base.NAMES)
def test_what_the_environment_asks_for_is_taken_even_where_something_else_fits(name: str) -> None:
    assert decide({"CLUSTER": name}, docker=True, kind=True)[0] == name


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(base.ProviderError, match=r"minikube.*existing, kind, node"):
        decide({"CLUSTER": "minikube"})


@pytest.mark.parametrize(
    ("docker", "kind", "no_node", "expected"),
    [
        (True, True, None, "kind"),
        (True, True, "it needs Linux", "kind"),
        (True, False, None, "node"),
        (False, True, None, "node"),
        (False, False, None, "node"),
    ],
)
def test_kind_is_taken_where_docker_works_else_the_node(
    docker: bool, kind: bool, no_node: str | None, expected: str
) -> None:
    name, reason = decide(docker=docker, kind=kind, no_node=no_node)
    assert name == expected
    assert reason


def test_an_empty_variable_counts_as_unset() -> None:
    assert decide({"CLUSTER": " "})[0] == "node"


@pytest.mark.parametrize("docker", [True, False])
def test_where_nothing_fits_the_error_names_each_obstacle_and_a_way_out(docker: bool) -> None:
    with pytest.raises(base.ProviderError) as caught:
        decide(docker=docker, kind=False, no_node="it needs root")
    message = str(caught.value)
    assert "it needs root" in message
    assert "CLUSTER=existing" in message
    assert ("kind can neither be downloaded" in message) is docker


def test_an_existing_cluster_is_never_taken_without_being_asked_for() -> None:
    with pytest.raises(base.ProviderError):
        decide({"KUBECONFIG": "/some/kubeconfig", "CLUSTER_ALLOW": "*"}, no_node="it needs root")


def test_what_was_remembered_is_known_to_a_later_run(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOPHIA_CACHE", str(tmp_path))
    monkeypatch.delenv("SOPHIA_STATE", raising=False)
    assert choose.remembered() is None
    choose.remember("existing")
    provider = choose.remembered()
    assert provider is not None
    assert provider.name == "existing"
    choose.forget()
    assert choose.remembered() is None
