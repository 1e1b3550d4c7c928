"""A ManagedService that is bound to a pool: its pods can connect with what they find, and its Release keeps it."""

from __future__ import annotations

import base64
from collections.abc import Callable

from hack.rig.database_objects import IMAGE
from hack.rig.pools import Pool
from hack.rig.services import Service, rollout, stages, template

Make = Callable[..., Pool]
_BINDING = "$SERVICE_BINDING_ROOT/orders"
#: A pod is ready when it can connect with the binding's files, as an application does.
_PROBE = f'psql --no-psqlrc --quiet --command="SELECT 1" "$(cat {_BINDING}/uri)"'


def test_service_gets_the_binding_and_its_release_keeps_it(pooled: Make) -> None:
    pool = pooled(instances=1)
    service = Service(pool.api, "app", pool.namespace)
    plan = rollout(gates=[], smokeTests=[], metrics={"preset": "App"}, stages=stages(100, seconds=2))
    bound = {"pools": [{"name": "orders"}]}
    pods = template({"MARK": "1"}, IMAGE)
    (container,) = pods["spec"]["containers"]
    container["command"] = ["sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 1; done"]
    container["readinessProbe"] = {"exec": {"command": ["sh", "-c", _PROBE]}, "periodSeconds": 2, "timeoutSeconds": 5}
    service.apply(traffic={"none": {}}, plan=plan, replicas=1, bindings=bound, template=pods)
    service.wait_settled(1, seconds=120)
    release = service.release(1)
    assert release is not None
    (version,) = release["spec"]["snapshot"]["bindings"]
    assert (version["kind"], version["name"]) == ("ConnectionPool", "orders")
    copy = pool.api.get("Secret", pool.namespace, version["copyName"])
    assert copy is not None
    assert {key: base64.b64decode(value).decode() for key, value in copy["data"].items()} == pool.binding()
    assert pool.binding()["password"] not in str(release)
    (pod,) = pool.api.list("Pod", pool.namespace, "sophia.ai/release=app-1")
    mounts = {m["mountPath"] for m in pod["spec"]["containers"][0]["volumeMounts"]}
    assert "/bindings/orders" in mounts


def test_service_bound_to_a_pool_that_is_not_there_waits_for_it(pooled: Make) -> None:
    pool = pooled(instances=1)
    service = Service(pool.api, "app", pool.namespace)
    plan = rollout(gates=[], smokeTests=[], metrics={"preset": "App"}, stages=stages(100, seconds=2))
    service.apply(traffic={"none": {}}, plan=plan, replicas=1, bindings={"pools": [{"name": "later"}]})

    def waits() -> bool:
        found = service.condition("Stalled")
        return found is not None and found["reason"] == "BindingNotFound" and "later" in found["message"]

    pool.api.until("the service to say what it waits for", waits, seconds=30)
    assert service.release(1) is None
    Pool(pool.database, "later").apply(instances=1)
    service.wait_settled(1, seconds=120)
