"""What all images have in common, what those of PgBouncer, and of Redis and Valkey, share, and what is locked."""

from __future__ import annotations

import json
import re
import subprocess

from hack.cluster import paths, versions
from hack.cluster.image_specs import all_images

DOCKERFILES = sorted({paths.REPOSITORY / spec.dockerfile for spec in all_images()})


def test_no_image_knows_where_packages_come_from() -> None:
    """The base image does, and so a mirror's users need not change a Dockerfile."""
    assert len(DOCKERFILES) >= 10
    for file in DOCKERFILES:
        assert "://" not in file.read_text(), file


def test_both_poolers_come_of_one_dockerfile() -> None:
    specs = {spec.name: spec for spec in all_images()}
    shipped, newer = specs["sophia-pgbouncer"], specs["pgbouncer-newer"]
    assert shipped.dockerfile == newer.dockerfile
    assert shipped.arguments["PGBOUNCER_VERSION"] == versions.of("pgbouncer")
    assert newer.reference == f"localhost/pgbouncer-newer:{versions.of('pgbouncer-newer')}"
    # Whoever builds it by hand gets the version that we ship.
    text = (paths.REPOSITORY / shipped.dockerfile).read_text()
    assert f"ARG PGBOUNCER_VERSION={versions.of('pgbouncer')}\n" in text


def test_redis_and_valkey_come_of_one_dockerfile() -> None:
    specs = {spec.name: spec for spec in all_images()}
    shipped, other = specs["sophia-redis"], specs["valkey"]
    assert shipped.dockerfile == other.dockerfile
    assert other.reference == f"localhost/valkey:{versions.of('valkey')}"
    lines = (paths.REPOSITORY / shipped.dockerfile).read_text().splitlines()
    # Whoever builds it by hand gets the version that we ship.
    assert f"ARG SERVER_VERSION={shipped.arguments['SERVER_VERSION']}" in lines
    assert "USER 65532:65532" in lines


def test_gateways_of_others_are_those_of_their_locks() -> None:
    specs = {spec.name: spec for spec in all_images()}
    package = json.loads((paths.SOURCE / "portkey.npm" / "package.json").read_text())
    assert package["dependencies"]["@portkey-ai/gateway"] == specs["portkey"].tag == versions.of("portkey")
    locked = json.loads((paths.SOURCE / "portkey.npm" / "package-lock.json").read_text())["packages"]
    assert locked["node_modules/@portkey-ai/gateway"]["version"] == versions.of("portkey")
    for name in ("litellm.in", "litellm.txt"):
        text = (paths.SOURCE / name).read_text()
        assert re.search(rf"^litellm(\[proxy\])?=={re.escape(versions.of('litellm'))}\b", text, re.MULTILINE), name
    assert specs["litellm"].tag == versions.of("litellm")


def test_pooler_and_server_finish_transactions_when_they_are_stopped() -> None:
    """SIGINT is what lets PgBouncer do so, and what keeps PostgreSQL from waiting for its clients."""
    for name in ("images/pgbouncer", "hack/cluster/images/postgres"):
        lines = (paths.REPOSITORY / name / "Dockerfile").read_text().splitlines()
        assert "STOPSIGNAL SIGINT" in lines
        assert "USER 65532:65532" in lines


def test_scripts_in_images_are_shell() -> None:
    for script in (paths.SOURCE / "images").glob("*/*.sh"):
        assert script.read_text().startswith("#!/bin/sh\n")
        subprocess.run(["/bin/sh", "-n", str(script)], check=True, timeout=10)
