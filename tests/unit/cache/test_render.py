from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.core.cache import conf, names
from sophia_operator.core.cache.render import restart_hash
from sophia_operator.core.cache.render.pods import GRACE_SECONDS, HAND_OVER_SECONDS
from tests.golden import cache_cases

_TLS = {"tls": {"secretName": "hot-tls"}}
_SHOWN = {"ca": "the CA", "certificate_hash": "v1:1"}


def case(managed: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **rest: Any) -> cache_cases.Case:
    given = {"level": "Redis", "redis": {"managed": managed or {}}} | (spec or {})
    status = rest.pop("status", {})
    return cache_cases.parse({"tier": {"name": "hot", "spec": given, "status": status}} | rest)


def objects(managed: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    return {f"{o['kind']}/{o['metadata']['name']}": dict(o) for o in case(managed, spec, **rest).render().objects}


def stateful_set(managed: dict[str, Any] | None = None, **rest: Any) -> Any:
    return objects(managed, **rest)["StatefulSet/hot-cache"]["spec"]


def hash_of(found: cache_cases.Case, image: str = cache_cases.DEFAULT_IMAGE) -> str:
    return restart_hash(found.tier, found.observed, image)


@pytest.mark.parametrize(
    "live",
    [
        {"managed": {"replicas": 4}},
        {"managed": {"maxMemoryMegabytes": 7}},
        {"managed": {"evictionPolicy": "NoEviction"}},
        {"managed": {"persistence": "Snapshot"}},
        {"managed": {"persistence": "AppendOnly"}},
        {"managed": {"parameters": {"hz": "20", "maxclients": "200"}}},
        {"spec": {"namespaces": [{"name": "embeddings", "prefix": "emb"}]}},
        {"status": {"scale": 5}},
    ],
    ids=json.dumps,
)
def test_what_redis_takes_live_replaces_no_node(live: dict[str, Any]) -> None:
    assert objects(**live) != objects(), "the change is one"
    assert stateful_set(**live)["template"] == stateful_set()["template"]
    assert hash_of(case(**live)) == hash_of(case())


@pytest.mark.parametrize(
    "new",
    [
        {"managed": {"image": "registry.example/valkey:8.1.1"}},
        {"managed": {"imagePullPolicy": "Always"}},
        {"managed": {"resources": {"limits": {"memory": "1Gi"}}}},
        {"managed": {"storage": {"sizeMegabytes": 1}}},
        {"managed": {"template": {"nodeSelector": {"disk": "fast"}}}},
        {"managed": _TLS, "access": _SHOWN},
        {"access": {"client_password": "another"}},
        {"access": {"admin_password": "another"}},
        {"access": {"replicator_password": "another"}},
        {"access": {"prober_password": "another"}},
    ],
    ids=json.dumps,
)
def test_what_only_a_new_pod_takes_over_replaces_nodes(new: dict[str, Any]) -> None:
    assert hash_of(case(**new)) != hash_of(case())
    annotations = stateful_set(**new)["template"]["metadata"]["annotations"]
    assert annotations[names.ANNOTATION_RESTART] == hash_of(case(**new))


def test_so_does_a_renewed_certificate_and_another_default_image() -> None:
    before = case(_TLS, access=_SHOWN)
    assert hash_of(case(_TLS, access=_SHOWN | {"certificate_hash": "v1:2"})) != hash_of(before)
    assert hash_of(before, "registry.example/redis:7.0.16") != hash_of(before)


def test_other_levels_have_nothing_to_replace() -> None:
    found = cache_cases.load("memory")
    assert hash_of(found) == hash_of(found, "registry.example/another")


def test_no_pod_has_a_role_from_the_start() -> None:
    template = stateful_set({"template": {"labels": {names.LABEL_ROLE: "primary", "team": "shop"}}})["template"]
    assert names.LABEL_ROLE not in template["metadata"]["labels"]
    assert template["metadata"]["labels"]["team"] == "shop"


def test_no_password_is_where_anybody_sees_it() -> None:
    found = objects(_TLS, access=_SHOWN)
    seen = json.dumps({key: obj for key, obj in found.items() if not key.startswith("Secret/")})
    for password in ("of-applications", "of-the-operator", "of-replicas", "of-probes"):
        assert password not in seen


def test_there_is_time_to_hand_over_and_to_save_before_a_node_is_killed() -> None:
    spec = stateful_set()["template"]["spec"]
    assert spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == HAND_OVER_SECONDS
    assert spec["terminationGracePeriodSeconds"] == GRACE_SECONDS > HAND_OVER_SECONDS + conf.SHUTDOWN_SECONDS


@pytest.mark.parametrize("missing", ["client_password", "admin_password", "replicator_password", "prober_password"])
def test_without_a_password_nodes_stay_as_they_are(missing: str) -> None:
    found = objects(access={missing: None})
    assert "StatefulSet/hot-cache" not in found
    assert "Secret/hot-cache-config" not in found
    assert "Service/hot-cache" in found


def test_a_password_cannot_end_its_line() -> None:
    found = case(access={"replicator_password": 'x"\nloadmodule /tmp/evil.so\n'})
    assert found.observed.access is not None
    files = conf.files(found.tier, found.observed.access)
    assert files is not None
    assert not [line for line in files[conf.CONF].splitlines() if line.startswith("loadmodule")]


def test_a_chain_that_changes_changes_nothing_else() -> None:
    before = case()
    numbered = replace(before, tier=case(status={"namespaces": [{"name": "a", "generation": 2}]}).tier)
    assert numbered.render() == before.render()


def test_scripts_are_shell() -> None:
    for script in (conf.start_script(), conf.probe_script()):
        done = subprocess.run(["/bin/sh", "-n"], input=script, text=True, check=False, timeout=10)
        assert done.returncode == 0
