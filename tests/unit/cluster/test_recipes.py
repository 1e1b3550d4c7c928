"""The keys under which programs are cached, and that the pinned versions agree with each other."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from hack.cluster import binaries, paths, recipes, versions
from hack.cluster.node import imagestore


def test_the_key_names_program_and_version() -> None:
    assert re.fullmatch(r"runc-\d+\.\d+\.\d+-[0-9a-f]{12}", recipes.of("runc").key())


def test_another_version_or_source_is_another_key() -> None:
    recipe = recipes.of("runc")
    assert dataclasses.replace(recipe, version="9.9.9").digest() != recipe.digest()
    assert dataclasses.replace(recipe, release=None).digest() != recipe.digest()


def test_another_way_to_build_is_another_key() -> None:
    recipe = recipes.of("runc")
    other = dataclasses.replace(recipe, build=dataclasses.replace(recipe.build, tags=()))
    assert other.digest() != recipe.digest()


def test_changed_sources_of_ours_are_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(paths.SOURCE / "pause", tmp_path / "pause")
    monkeypatch.setattr(paths, "SOURCE", tmp_path)
    recipe = recipes.of("pause")
    before = recipe.digest()
    assert recipe.digest() == before
    (tmp_path / "pause" / "main.go").write_text("package main\n")
    assert recipe.digest() != before


def test_programs_of_one_build_have_keys_of_their_own() -> None:
    keys = [recipes.of(name).key() for name in ("etcd", *recipes.KUBERNETES)]
    assert len(set(keys)) == len(keys)


def test_every_program_that_anything_asks_for_has_a_recipe() -> None:
    for_linux = {recipes.in_image(name) for name in recipes.IN_IMAGES}
    assert {*binaries.ALL, *binaries.TESTS, "kind", *for_linux} == set(recipes.all_recipes())
    for recipe in recipes.all_recipes().values():
        assert recipe.name in recipe.build.outputs
        assert set(recipe.build.outputs) <= set(recipes.all_recipes())


def test_an_unknown_program_is_an_error_with_the_names_there_are() -> None:
    with pytest.raises(KeyError, match=r"no recipe for 'kubectx'.*kubectl"):
        recipes.of("kubectx")


def test_the_multicall_module_builds_the_pinned_versions() -> None:
    module = (paths.SOURCE / "multicall" / "go.mod").read_text()
    assert f"k8s.io/kubernetes v{versions.of('kubernetes')}\n" in module
    assert f"go.etcd.io/etcd/server/v3 v{versions.of('etcd')}\n" in module
    minor_and_patch = versions.of("kubernetes").partition(".")[2]
    replaced = re.findall(r"k8s\.io/\S+ => k8s\.io/\S+ v0\.(\S+)", module)
    assert replaced
    assert set(replaced) == {minor_and_patch}


def test_the_makefile_installs_the_pinned_uv() -> None:
    makefile = (paths.REPOSITORY / "Makefile").read_text()
    assert re.findall(r"^UV_VERSION\s*:=\s*(\S+)$", makefile, re.MULTILINE) == [versions.of("uv")]


def test_the_kind_node_image_is_pinned_by_digest_and_of_our_minor_version() -> None:
    minor = versions.of("kubernetes").rpartition(".")[0]
    assert re.fullmatch(rf"kindest/node:v{re.escape(minor)}\.\d+@sha256:[0-9a-f]{{64}}", versions.image("kind-node"))


def test_an_unpinned_version_is_an_error_that_names_the_file() -> None:
    with pytest.raises(KeyError, match=r"versions\.toml pins no 'docker'"):
        versions.of("docker")


def test_an_archive_that_was_written_again_is_another_one(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_text("one")
    first = imagestore.identity(archive)
    assert imagestore.identity(archive) == first
    archive.write_text("three")
    assert imagestore.identity(archive) != first
