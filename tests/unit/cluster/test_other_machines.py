"""What is provided on machines that are not Linux with root: programs for images, and only what is needed there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import binaries, bringup, debian, gobuild, image_specs, images, paths, platform, recipes, shell
from hack.cluster.providers import base, choose


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if this machine were a Mac."""
    monkeypatch.setattr(recipes, "OS", "darwin")
    recipes.all_recipes.cache_clear()
    yield
    recipes.all_recipes.cache_clear()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> base.Provider:
    """The provider kind, chosen."""
    made = choose.make("kind")
    monkeypatch.setattr(choose, "chosen", lambda: (made, "a test wants it"))
    return made


def test_programs_in_images_are_linux_programs_with_keys_of_their_own(macos: None) -> None:
    here, inside = recipes.of("contour"), recipes.of(recipes.in_image("contour"))
    assert (here.build.system, inside.build.system) == ("darwin", "linux")
    assert here.digest() != inside.digest()
    assert inside.name in inside.build.outputs


def test_on_linux_the_program_in_the_image_is_the_program_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "OS", "linux")
    assert recipes.in_image("contour") == "contour"


def test_every_program_in_an_image_has_a_linux_recipe() -> None:
    assert {name for spec in image_specs.all_images() for name in spec.binaries} == set(recipes.IN_IMAGES)


def test_the_image_takes_the_linux_program_under_its_own_name(macos: None, tmp_path: Path) -> None:
    (contour,) = images.select(["contour"])
    assert images.programs_in([contour]) == ["contour-linux"]
    (tmp_path / "contour").write_text("for the host")
    (tmp_path / "contour-linux").write_text("for the image")
    assert contour.inputs(tmp_path)["contour"].read_text() == "for the image"


def test_go_is_told_the_target_and_what_it_leaves_is_found(
    macos: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments: list[dict[str, str]] = []

    def run(argv: list[str], **options: dict[str, str]) -> object:
        if argv[:2] == ["go", "env"]:
            return type("Answer", (), {"stdout": "/modules\n"})
        environments.append(options["env"])
        left = Path(options["env"]["GOPATH"]) / "bin" / "linux_arm64" / "contour"
        left.parent.mkdir(parents=True)
        left.write_text("for linux")
        return None

    monkeypatch.setattr(gobuild, "require_go", lambda: None)
    monkeypatch.setattr(debian, "ensure", lambda *_args, **_options: None)
    monkeypatch.setattr(shell, "run", run)
    gobuild.build(recipes.of("contour-linux").build, tmp_path)
    assert (tmp_path / "contour").read_text() == "for linux"
    (environment,) = environments
    assert (environment["GOOS"], environment["GOARCH"]) == ("linux", recipes.ARCH)
    assert environment["GOMODCACHE"] == "/modules"  # else every module is fetched again
    assert not environment["GOBIN"]
    assert "GOOS" not in gobuild.environment(recipes.of("contour").build, tmp_path)


def test_with_kind_no_program_of_the_node_is_asked_for(provider: base.Provider) -> None:
    wanted = set(bringup.wanted_programs())
    assert {"kind", "contour", "helm", "etcd", "kube-apiserver", "kube-controller-manager", "kubectl"} <= wanted
    assert not {"containerd", "runc", "kubelet", "coredns", "pause", *recipes.CNI_PLUGINS} & wanted
    assert bringup.wanted_images() == list(provider.images or ())


def test_on_a_mac_with_kind_the_program_in_the_image_is_asked_for_too(macos: None, provider: base.Provider) -> None:
    assert {"contour", "contour-linux"} <= set(bringup.wanted_programs())


def test_with_the_node_everything_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "chosen", lambda: (choose.make("node"), "a test wants it"))
    assert {*binaries.ALL} == {*bringup.wanted_programs()}
    assert bringup.wanted_images() is None


def test_where_no_cluster_is_possible_the_tests_that_need_none_have_their_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> tuple[base.Provider, str]:
        raise base.ProviderError("no cluster here")

    monkeypatch.setattr(choose, "chosen", none)
    assert bringup.wanted_programs() == list(binaries.TESTS)
    assert bringup.wanted_images() is None


def test_manifests_that_cannot_be_had_stop_up_before_there_is_a_cluster(
    provider: base.Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOPHIA_CACHE", str(tmp_path))
    monkeypatch.delenv("SOPHIA_STATE", raising=False)
    monkeypatch.setattr(type(provider), "check", lambda _self: None)
    monkeypatch.setattr(type(provider), "up", lambda *_: pytest.fail("a cluster was made"))
    monkeypatch.setattr(binaries, "ensure", lambda _names: tmp_path)
    monkeypatch.setattr(images, "build_all", lambda _names: [])
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    assert len(platform.missing()) == 2
    with pytest.raises(gobuild.GoMissingError, match=r"every kind of cluster needs it.*manifests"):
        bringup.up()
    assert not paths.state().exists()
    assert choose.remembered() is None


def test_the_url_of_the_gateway_is_the_providers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOPHIA_CACHE", str(tmp_path))
    monkeypatch.delenv("SOPHIA_STATE", raising=False)
    with pytest.raises(base.ProviderError, match="up` first"):
        bringup.gateway_url()
    choose.remember("node")
    assert bringup.gateway_url() == "http://10.77.128.80"
