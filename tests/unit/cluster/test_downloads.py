"""A release file is believed only when its SHA-256 is right. Files stand in for servers (file: URLs)."""

from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.request
from pathlib import Path

import pytest

from hack.cluster import downloads, recipes, versions

CONTENT = b"#!/bin/sh\necho program\n"
SUM = hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64


@pytest.fixture
def release(tmp_path: Path) -> recipes.Release:
    (tmp_path / "program").write_bytes(CONTENT)
    (tmp_path / "program.sha256").write_text(SUM)
    return recipes.Release(f"file://{tmp_path}/program", f"file://{tmp_path}/program.sha256")


def fetch(release: recipes.Release, tmp_path: Path) -> Path:
    target = tmp_path / "out"
    downloads.Downloader(tmp_path / "downloads").fetch(release, target)
    return target


def test_a_file_with_the_right_sum_is_installed_executable(release: recipes.Release, tmp_path: Path) -> None:
    target = fetch(release, tmp_path)
    assert target.read_bytes() == CONTENT
    assert target.stat().st_mode & 0o111


def test_a_file_with_a_wrong_sum_is_refused_and_removed(release: recipes.Release, tmp_path: Path) -> None:
    (tmp_path / "program.sha256").write_text(OTHER)
    with pytest.raises(downloads.UnavailableError, match=f"{SUM}.*refused"):
        fetch(release, tmp_path)
    assert not (tmp_path / "out").exists()
    assert not [path for path in (tmp_path / "downloads").rglob("*") if path.is_file()]


def test_a_pinned_sum_wins_over_the_one_beside_the_file(
    release: recipes.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "sha256", lambda name: OTHER if name == "program" else None)
    with pytest.raises(downloads.UnavailableError, match="refused"):
        fetch(release, tmp_path)


def test_a_member_of_an_archive_is_taken_out(tmp_path: Path) -> None:
    archive = tmp_path / "all.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in (("./bin/other", b"no"), ("./bin/program", CONTENT)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    (tmp_path / "sums").write_text(f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  all.tar.gz\n")
    release = recipes.Release(f"file://{archive}", f"file://{tmp_path}/sums", "bin/program")
    assert fetch(release, tmp_path).read_bytes() == CONTENT
    missing = recipes.Release(release.url, release.checksum_url, "bin/absent")
    with pytest.raises(downloads.UnavailableError, match="holds no bin/absent"):
        fetch(missing, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SUM, SUM),
        (f"{SUM}\n", SUM),
        (f"{SUM}  tool.tgz", SUM),
        (f"{SUM} *tool.tgz", SUM),
        (f"{SUM.upper()}  ./tool.tgz", SUM),
        (f"{OTHER}  tool.tgz.sig\n{SUM}  release/tool.tgz\n", SUM),
    ],
)
def test_the_forms_of_checksum_files(text: str, expected: str) -> None:
    assert downloads.parse_checksum(text, "tool.tgz") == expected


@pytest.mark.parametrize("text", ["", "<html>blocked</html>", f"{OTHER}  other.tgz", "abc  tool.tgz", "z" * 64])
def test_a_checksum_file_without_our_file_is_no_proof(text: str) -> None:
    with pytest.raises(downloads.UnavailableError, match=r"publishes no SHA-256 of tool\.tgz"):
        downloads.parse_checksum(text, "tool.tgz")


def test_a_host_that_does_not_answer_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def unreachable(url: str, timeout: float) -> None:
        assert timeout <= 5
        asked.append(url)
        raise TimeoutError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    downloader = downloads.Downloader(tmp_path)
    for name in ("one", "two"):
        release = recipes.Release(f"https://example.invalid/{name}", f"https://example.invalid/{name}.sha256")
        with pytest.raises(downloads.UnavailableError, match=r"example\.invalid cannot be used from here"):
            downloader.fetch(release, tmp_path / name)
    assert len(asked) == 1


def test_downloads_can_be_switched_off(
    release: recipes.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOPHIA_DOWNLOADS", "never")
    with pytest.raises(downloads.UnavailableError, match="SOPHIA_DOWNLOADS=never"):
        fetch(release, tmp_path)
    assert not downloads.reachable(release)
