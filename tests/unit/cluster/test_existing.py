"""Nobody's cluster is touched unless its context is on the allow-list."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hack.cluster import binaries, platform, shell
from hack.cluster.providers import existing
from hack.cluster.providers.base import ProviderError


def kubeconfig(folder: Path, name: str, context: str | None) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump({"kind": "Config", "current-context": context}))
    return path


@pytest.mark.parametrize(
    ("context", "patterns", "expected"),
    [
        ("kind-dev", "kind-dev", True),
        ("kind-dev", "kind-*", True),
        ("kind-dev", "minikube, kind-*", True),
        ("kind-dev", "minikube,,", False),
        ("kind-dev", "", False),
        ("kind-dev", " ", False),
        ("production", "kind-*", False),
        ("kind-production", "kind-dev", False),
        ("my-kind-dev", "kind-*", False),  # a glob matches the whole name
        ("Kind-dev", "kind-*", False),  # names are case-sensitive
        ("a,b", "a", False),
    ],
)
def test_the_allow_list_matches_whole_names(context: str, patterns: str, expected: bool) -> None:
    assert existing.allowed(context, patterns) is expected


def test_a_context_on_the_list_is_taken(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, "config", "staging-1")
    environment = {"KUBECONFIG": str(file), "CLUSTER_ALLOW": "staging-*"}
    assert existing.require_allowed(environment) == "staging-1"


@pytest.mark.parametrize("allow", [None, "", "staging"])
def test_a_context_that_is_not_on_the_list_is_refused_with_the_way_to_allow_it(
    tmp_path: Path, allow: str | None
) -> None:
    environment = {"KUBECONFIG": str(kubeconfig(tmp_path, "config", "production"))}
    if allow is not None:
        environment["CLUSTER_ALLOW"] = allow
    with pytest.raises(ProviderError, match=r"'production'.*nothing was touched.*CLUSTER_ALLOW=production"):
        existing.require_allowed(environment)


def test_the_first_kubeconfig_with_a_current_context_decides(tmp_path: Path) -> None:
    files = [
        tmp_path / "missing",
        kubeconfig(tmp_path, "without", None),
        kubeconfig(tmp_path, "first", "one"),
        kubeconfig(tmp_path, "second", "two"),
    ]
    environment = {"KUBECONFIG": ":".join(map(str, files))}
    assert existing.current_context(existing.kubeconfig_files(environment)) == "one"


@pytest.mark.parametrize("content", ["", "[1, 2]", "current-context: ''", "current-context: [a]", "a: b: c"])
def test_a_kubeconfig_without_a_context_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    with pytest.raises(ProviderError, match="no current context"):
        existing.require_allowed({"KUBECONFIG": str(file), "CLUSTER_ALLOW": "*"})


def test_up_and_load_look_at_the_list_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was run")

    monkeypatch.setattr(shell, "run", never)
    monkeypatch.setattr(binaries, "view", never)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, "config", "production")))
    monkeypatch.setenv("CLUSTER_ALLOW", "dev")
    monkeypatch.setenv("SOPHIA_STATE", str(tmp_path / "state"))
    provider = existing.Existing()
    for call in (provider.check, lambda: provider.up([]), lambda: provider.load([])):
        with pytest.raises(ProviderError, match="allow-list"):
            call()
    assert not (tmp_path / "state").exists()


def test_the_users_load_command_gets_the_archive() -> None:
    words = existing.load_command("minikube image load '{archive}' -p dev", Path("/a b/x.tar"))
    assert words == ["minikube", "image", "load", "/a b/x.tar", "-p", "dev"]


def test_a_load_command_without_a_place_for_the_archive_is_refused() -> None:
    with pytest.raises(ProviderError, match=r"\{archive\}"):
        existing.load_command("minikube image load", Path("x.tar"))


def test_the_gateway_gets_an_address_in_the_clusters_own_range() -> None:
    assert existing.gateway_address("10.96.0.1") == "10.96.0.80"
    assert existing.gateway_address("10.77.128.1") == "10.77.128.80"


def test_the_owner_says_how_this_machine_reaches_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existing.Existing, "platform", lambda _self: platform.Settings(gateway_ip="10.96.0.80"))
    assert existing.Existing().gateway_url() == "http://10.96.0.80"
    monkeypatch.setenv("CLUSTER_GATEWAY_URL", "http://127.0.0.1:8080/")
    assert existing.Existing().gateway_url() == "http://127.0.0.1:8080"
