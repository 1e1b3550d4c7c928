"""Images: what they are made from decides whether they are built again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hack.cluster import binaries, image_builders, image_specs, images, paths
from hack.cluster.image_specs import ImageSpec
from hack.cluster.shell import CommandError

SPEC = ImageSpec(
    name="app", tag="dev", context="src", dockerfile="Dockerfile", files=("*.txt", "sub/**/*"), binaries=("tool",)
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository, an empty cache, and a builder that writes down what it was asked."""
    root = tmp_path / "repository"
    (root / "src" / "sub" / "__pycache__").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "src" / "a.txt").write_text("a")
    (root / "src" / "sub" / "b.py").write_text("b")
    (root / "src" / "sub" / "__pycache__" / "b.pyc").write_text("never")
    (root / "bin").mkdir()
    (root / "bin" / "tool").write_text("tool")
    monkeypatch.setattr(paths, "REPOSITORY", root)
    monkeypatch.setenv("SOPHIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "all_images", lambda: [SPEC])
    monkeypatch.setattr(binaries, "ensure", lambda _names: root / "bin")
    return root


class FakeBuilder:
    """Writes the names of the files in the context into the archive."""

    name = "fake"

    def __init__(self) -> None:
        self.built: list[str] = []
        self.fail = False

    def prepare(self) -> None:
        """Nothing to prepare."""

    def build(self, spec: ImageSpec, context: Path, archive: Path, log: Path) -> None:
        files = sorted(path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file())
        archive.write_text("\n".join(files))
        log.write_text("as far as it came")
        if self.fail:
            raise CommandError(["build"], "exit code 1")
        self.built.append(spec.name)


@pytest.fixture
def builder(repository: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBuilder:
    fake = FakeBuilder()
    monkeypatch.setattr(image_builders, "choose", lambda: fake)
    return fake


def test_the_context_holds_the_sources_and_the_binaries_only(builder: FakeBuilder) -> None:
    (archive,) = images.build_all()
    assert archive.read_text().splitlines() == ["a.txt", "sub/b.py", "tool"]
    assert archive.parent == paths.images()
    assert archive.name.startswith("app-")


def test_times_of_files_do_not_reach_the_build(repository: Path, tmp_path: Path) -> None:
    """A layer is cached by the times of its files too."""
    context = tmp_path / "context"
    context.mkdir()
    SPEC.stage(repository / "bin", context)
    assert len({path.stat().st_mtime for path in context.rglob("*")}) == 1


def test_an_image_whose_inputs_did_not_change_is_not_built_again(builder: FakeBuilder, repository: Path) -> None:
    first = images.build_all()
    os.utime(repository / "src" / "a.txt", (1, 1))  # a checkout changes times, not contents
    assert images.build_all() == first
    assert builder.built == ["app"]


@pytest.mark.parametrize("changed", ["Dockerfile", "src/a.txt", "src/sub/b.py", "src/sub/new.py", "bin/tool"])
def test_a_changed_input_builds_it_again_and_removes_the_old_archive(
    changed: str, builder: FakeBuilder, repository: Path
) -> None:
    (first,) = images.build_all()
    other = paths.images() / "app-other-0123456789abcdef.tar"  # another image whose name begins alike
    other.write_text("")
    (repository / changed).write_text("changed")
    (second,) = images.build_all()
    assert builder.built == ["app", "app"]
    assert second != first
    assert not first.exists()
    assert other.exists()


def test_an_executable_bit_is_part_of_the_image(repository: Path) -> None:
    before = SPEC.key(repository / "bin")
    (repository / "src" / "a.txt").chmod(0o755)
    assert SPEC.key(repository / "bin") != before


def test_a_build_that_fails_leaves_nothing_that_looks_finished(builder: FakeBuilder) -> None:
    builder.fail = True
    with pytest.raises(CommandError):
        images.build_all()
    assert not list(paths.images().rglob("*.tar"))
    builder.fail = False
    assert images.build_all()[0].exists()


def test_what_an_interrupted_build_left_is_removed(builder: FakeBuilder) -> None:
    left = paths.images() / "app-x1y2z3" / "context"
    left.mkdir(parents=True)
    images.build_all()
    assert not left.parent.exists()


def test_a_pattern_that_matches_nothing_is_an_error(builder: FakeBuilder, repository: Path) -> None:
    (repository / "src" / "a.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"nothing matches \*\.txt"):
        images.build_all()


def test_an_unknown_name_is_refused(builder: FakeBuilder) -> None:
    with pytest.raises(ValueError, match="no image named web; there are app"):
        images.build_all(["web"])


def test_every_real_image_has_its_dockerfile_and_files() -> None:
    specs = image_specs.all_images()
    assert len({spec.reference for spec in specs}) == len(specs)
    for spec in specs:
        assert (paths.REPOSITORY / spec.dockerfile).is_file()
        assert spec.reference.startswith("localhost/")
        if not spec.binaries and spec.files:
            assert spec.inputs(Path("/nonexistent"))


def test_dockerfiles_end_as_an_ordinary_user() -> None:
    for spec in image_specs.all_images():
        lines = (paths.REPOSITORY / spec.dockerfile).read_text().splitlines()
        last_stage = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]
        users = [line.split()[1] for line in last_stage if line.startswith("USER ")]
        assert users, spec.dockerfile
        assert all(int(part) > 0 for part in users[-1].split(":")), spec.dockerfile


def test_pip_inside_a_build_asks_the_index_that_this_machine_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_TRUSTED_HOST", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    assert image_builders._pip_settings() == [
        "cert = /run/host-ca.crt",
        "index-url = https://index.example/simple",
    ]


def test_npm_inside_a_build_asks_the_registry_that_this_machine_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("npm_config_registry", raising=False)
    assert image_builders._npm_settings() == ["cafile=/run/host-ca.crt"]
    monkeypatch.setenv("npm_config_registry", "https://npm.example/")
    assert image_builders._npm_settings() == ["cafile=/run/host-ca.crt", "registry=https://npm.example/"]
