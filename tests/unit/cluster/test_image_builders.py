"""What the two builders ask of docker and of buildah."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from hack.cluster import debian, image_builders, paths
from hack.cluster.image_builders import BASE, BuildahBuilder, DockerBuilder
from hack.cluster.image_specs import ImageSpec
from hack.cluster.shell import CommandError

SPEC = ImageSpec(name="envoy", tag="1", context="c", dockerfile="c/Dockerfile", arguments={"ENVOY_VERSION": "1"})


class Commands:
    """Stands in for shell.run: keeps the command lines, answers from ``outputs``, refuses ``failing``."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.outputs: dict[str, str] = {}
        self.failing: str | None = None

    def run(self, argv: Sequence[str | Path], **_: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in argv]
        line = " ".join(words)
        self.lines.append(line)
        if self.failing is not None and self.failing in line:
            raise CommandError(words, "exit code 1")
        output = next((text for part, text in self.outputs.items() if part in line), "")
        return subprocess.CompletedProcess(words, 0, output, "")

    def with_(self, part: str) -> list[str]:
        return [line for line in self.lines if part in line]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    fake = Commands()
    monkeypatch.setattr(image_builders, "run", fake.run)
    monkeypatch.setattr(debian, "ensure", lambda *_args, **_kwargs: None)
    monkeypatch.setattr(image_builders.os, "geteuid", lambda: 0)  # type: ignore[attr-defined]
    return fake


def test_docker_is_chosen_only_where_its_daemon_answers(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/docker")
    assert isinstance(image_builders.choose(), DockerBuilder)
    commands.failing = "docker info"
    assert isinstance(image_builders.choose(), BuildahBuilder)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    commands.failing = None
    assert isinstance(image_builders.choose(), BuildahBuilder)


def test_docker_builds_from_the_staged_context_and_saves_under_the_name_that_pods_ask_for(
    commands: Commands, tmp_path: Path
) -> None:
    DockerBuilder().build(SPEC, tmp_path / "context", tmp_path / "a.tar", tmp_path / "log")
    assert commands.lines == [
        f"docker build --tag localhost/envoy:1 --file {paths.REPOSITORY}/c/Dockerfile "
        f"--build-arg ENVOY_VERSION=1 {tmp_path}/context",
        f"docker save --output {tmp_path}/a.tar localhost/envoy:1",
    ]


def test_buildah_never_pulls_and_keeps_layers(commands: Commands, tmp_path: Path) -> None:
    builder = BuildahBuilder(tmp_path)
    builder.build(SPEC, tmp_path / "context", tmp_path / "a.tar", tmp_path / "log")
    build, push = commands.lines
    for words in ("--pull-never", "--layers", "--isolation chroot", "--build-arg ENVOY_VERSION=1"):
        assert words in build
    assert build.startswith(f"buildah --root={tmp_path}/root ")
    assert build.endswith(f" {tmp_path}/context")
    assert push.endswith(f"localhost/envoy:1 docker-archive:{tmp_path}/a.tar:localhost/envoy:1")


def test_the_base_image_is_made_once(commands: Commands, tmp_path: Path) -> None:
    builder = BuildahBuilder(tmp_path / "store")
    commands.outputs = {"from scratch": "working-container\n"}
    builder.prepare()
    assert len(commands.with_("mmdebstrap")) == 1
    assert len(commands.with_(f"commit --quiet working-container {BASE}")) == 1
    assert len(commands.with_("rm working-container")) == 1
    commands.lines.clear()
    commands.outputs = {"images --format": f"localhost/other:1\n{BASE}\n"}
    builder.prepare()
    assert commands.with_("mmdebstrap") == []


def test_a_base_image_that_failed_leaves_no_container(commands: Commands, tmp_path: Path) -> None:
    commands.outputs = {"from scratch": "working-container\n"}
    commands.failing = "commit"
    with pytest.raises(CommandError):
        BuildahBuilder(tmp_path).prepare()
    assert len(commands.with_("rm working-container")) == 1


def test_without_docker_and_without_root_the_remedy_is_named(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_builders.os, "geteuid", lambda: 1000)  # type: ignore[attr-defined]
    with pytest.raises(PermissionError, match="as root, or start docker"):
        BuildahBuilder(tmp_path).prepare()
    assert commands.lines == []
