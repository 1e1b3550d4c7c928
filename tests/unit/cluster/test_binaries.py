"""Cache, then download, then build; whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack.cluster import binaries, downloads, gobuild, recipes


class World:
    """Stands in for network and compiler, and counts what was asked of them."""

    def __init__(self) -> None:
        self.online: set[str] = set()
        self.fetched: list[str] = []
        self.built: list[str] = []
        self.fail_after_output = False

    def fetch(self, release: recipes.Release, into: Path) -> None:
        if into.name not in self.online:
            raise downloads.UnavailableError("no network")
        self.fetched.append(into.name)
        into.write_text(f"downloaded {release.url}")

    def build(self, what: recipes.GoBuild, into: Path) -> None:
        self.built.append(what.title)
        for file in set(what.outputs.values()):
            (into / file).write_text(f"built {file}")
        if self.fail_after_output:
            raise KeyboardInterrupt


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setenv("SOPHIA_CACHE", str(tmp_path))
    monkeypatch.setattr(gobuild, "build", world.build)
    monkeypatch.setattr(downloads.Downloader, "fetch", world.fetch)
    return world


def test_what_can_be_downloaded_is_not_built(world: World) -> None:
    world.online = {"runc"}
    folder = binaries.ensure(["runc"])
    assert (folder / "runc").read_text().startswith("downloaded https://")
    assert world.built == []


def test_what_cannot_be_downloaded_is_built(world: World) -> None:
    world.online = {"kubectl"}
    folder = binaries.ensure(["runc", "kubectl", "pause"])
    assert (folder / "runc").read_text() == "built runc"
    assert (folder / "kubectl").read_text().startswith("downloaded")
    assert world.built == ["runc", "pause"]


def test_a_missing_compiler_is_told_before_anything_is_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.online = {"kubectl"}
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    with pytest.raises(gobuild.GoMissingError, match=r"Install Go .*Contour comes as a Go module"):
        binaries.ensure(["kubectl", "contour"])
    assert world.fetched == []
    binaries.ensure(["kubectl"])
    assert world.fetched == ["kubectl"]


def test_the_second_time_nothing_is_fetched_or_built(world: World) -> None:
    world.online = {"kubectl"}
    first = binaries.ensure(["runc", "kubectl"])
    world.fetched.clear()
    world.built.clear()
    assert binaries.ensure(["runc", "kubectl"]) == first
    assert world.fetched == world.built == []


def test_one_build_gives_all_programs_that_come_out_of_it_as_one_file(world: World) -> None:
    folder = binaries.ensure(["etcd", "kube-apiserver"])
    assert len(world.built) == 1
    assert (folder / "etcd").samefile(folder / "kube-apiserver")
    binaries.ensure(["kubelet"])
    assert len(world.built) == 1


def test_an_interrupted_build_leaves_no_half_program_and_can_be_repeated(world: World, tmp_path: Path) -> None:
    world.fail_after_output = True
    with pytest.raises(KeyboardInterrupt):
        binaries.ensure(["runc"])
    assert binaries.missing(["runc"]) == ["runc"]
    assert not list((tmp_path / "bin").rglob("runc*"))
    world.fail_after_output = False
    assert (binaries.ensure(["runc"]) / "runc").exists()


def test_what_a_killed_process_left_is_cleared(world: World, tmp_path: Path) -> None:
    left = tmp_path / "bin" / ".scratch" / "half" / "runc"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    folder = binaries.ensure(["runc"])
    assert (folder / "runc").read_text() == "built runc"
    assert not left.exists()


def test_a_view_that_lost_a_program_is_mended_from_the_store(world: World) -> None:
    folder = binaries.ensure(["runc"])
    (folder / "runc").unlink()
    (folder / "runc").write_text("something else")
    world.built.clear()
    assert binaries.ensure(["runc"]) == folder
    assert world.built == []
    assert (folder / "runc").samefile(recipes.store(folder.parent, recipes.of("runc")))


def test_programs_of_other_versions_are_pruned_and_ours_stay(world: World, tmp_path: Path) -> None:
    folder = binaries.ensure(["runc"])
    old = tmp_path / "bin" / "1.30.0-abc"
    old.mkdir()
    stored = tmp_path / "bin" / "store" / "runc-1.0.0-abc"
    stored.write_text("old")
    (old / "runc").hardlink_to(stored)
    assert set(binaries.prune()) == {old, stored}
    assert not old.exists()
    assert (folder / "runc").exists()
    assert binaries.missing(["runc"]) == []
    assert binaries.prune() == []


def test_an_unknown_name_is_refused_before_anything_is_made(world: World, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="no recipe for 'nonsense'"):
        binaries.ensure(["runc", "nonsense"])
    assert not (tmp_path / "bin").exists()


def test_the_compiler_leaves_nothing_of_the_machine_in_the_program(tmp_path: Path) -> None:
    runc = recipes.of("runc").build
    words = gobuild.command(runc, tmp_path)
    assert words[:2] == ["go", "install"]
    assert "-trimpath" in words
    assert words[words.index("-tags") + 1] == "seccomp"
    environment = gobuild.environment(runc, tmp_path)
    assert environment["CGO_ENABLED"] == "1"
    assert environment["GOFLAGS"] == "-buildvcs=false"
    multicall = recipes.of("kubelet").build
    assert gobuild.command(multicall, tmp_path)[-3:] == ["-o", str(tmp_path / "multicall"), "."]
    assert gobuild.environment(multicall, tmp_path)["CGO_ENABLED"] == "0"
