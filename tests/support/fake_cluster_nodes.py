"""StatefulSets of tiers, in memory, and the kubelet: pods with numbers, each with one process that is started anew."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sophia_operator.core.cache import names
from sophia_operator.ports import Object
from tests.support.fake_cluster import FakeCluster


@dataclass(frozen=True, slots=True)
class Run:
    """What the kubelet knows of a process."""

    began: datetime
    ready: bool = False
    over: bool = False


@dataclass
class NodePods(ABC):
    """Nothing happens by itself: each `tick` does one round of work."""

    cluster: FakeCluster
    clock: Callable[[], datetime]
    #: From the end of a process to the start of the next one, and from the request that a pod is to go to its end.
    restart_seconds: float = 1.0
    grace_seconds: float = 1.0
    #: Machines that are gone: nothing is started there, and the kubelet says nothing.
    lost: set[str] = field(default_factory=set)
    _addresses: dict[str, str] = field(default_factory=dict)
    _since: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cluster.lingering = lambda obj: obj["kind"] == "Pod" and names.LABEL_CACHE in obj["metadata"]["labels"]

    # What is run

    @abstractmethod
    def start(self, pod: Object, files: Mapping[str, str]) -> None:
        """Start a process that has these files."""

    @abstractmethod
    def end(self, pod: Object) -> None:
        """Let its process end; it has none afterwards."""

    @abstractmethod
    def run_of(self, pod: Object) -> Run | None:
        """Its newest process; None when it never had one."""

    @abstractmethod
    def new_address(self, number: int) -> str:
        """An address for a pod."""

    # What happens

    def tick(self) -> None:
        """One round."""
        self.cluster.collect_garbage()
        sets = {s["metadata"]["name"]: s for s in self.cluster.all("StatefulSet")}
        for pod in self.pods():
            owner = sets.get(_owner(pod))
            if owner is None or _number(pod) >= owner["spec"]["replicas"]:
                self._ask_to_go(pod)
        for stateful_set in sets.values():
            self._make(stateful_set)
        for pod in self.pods():
            if pod["metadata"]["name"] not in self.lost:
                self._keep(pod)
        for stateful_set in sets.values():
            self._report(stateful_set)

    def pods(self) -> list[Object]:
        """The pods of tiers."""
        return [p for p in self.cluster.all("Pod") if names.LABEL_CACHE in p["metadata"]["labels"]]

    def pod(self, name: str) -> Object:
        """That pod."""
        return next(p for p in self.pods() if p["metadata"]["name"] == name)

    def _ask_to_go(self, pod: Object) -> None:
        if "deletionTimestamp" not in pod["metadata"]:
            self.cluster.terminate(pod["metadata"]["name"], pod["metadata"]["namespace"])

    def _make(self, stateful_set: Object) -> None:
        meta, template = stateful_set["metadata"], stateful_set["spec"]["template"]
        there = {p["metadata"]["name"] for p in self.pods()}
        owner = {"kind": "StatefulSet", "name": meta["name"], "uid": meta["uid"], "controller": True}
        for number in range(stateful_set["spec"]["replicas"]):
            name = f"{meta['name']}-{number}"
            if name in there:
                continue
            metadata: dict[str, Any] = {
                "name": name,
                "namespace": meta["namespace"],
                "labels": dict(template["metadata"]["labels"]),
                "annotations": dict(template["metadata"].get("annotations") or {}),
                "ownerReferences": [owner],
            }
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
            self.cluster.add(pod | {"status": {"phase": "Pending"}})

    def _keep(self, pod: Object) -> None:
        uid, now = pod["metadata"]["uid"], self.clock()
        run = self.run_of(pod)
        if "deletionTimestamp" in pod["metadata"]:
            since = self._since.setdefault(f"{uid} goes", now)
            if run is None or run.over or now - since >= timedelta(seconds=self.grace_seconds):
                self.end(pod)
                self.cluster.remove("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])
                return
        elif run is None or run.over:
            since = self._since.setdefault(f"{uid} is over", now)
            files = self._files(pod)
            if files is not None and (run is None or now - since >= timedelta(seconds=self.restart_seconds)):
                del self._since[f"{uid} is over"]
                self._addresses.setdefault(uid, self.new_address(len(self._addresses)))
                self.start(pod, files)
                run = self.run_of(pod)
        self._say(pod, run)

    def address(self, pod: Object) -> str | None:
        """Its address, once it has one."""
        return self._addresses.get(pod["metadata"]["uid"])

    def _say(self, pod: Object, run: Run | None) -> None:
        if run is None:
            return
        began = run.began.strftime("%Y-%m-%dT%H:%M:%SZ")
        state = {"terminated": {"startedAt": began, "exitCode": 137}} if run.over else {"running": {"startedAt": began}}
        ready = run.ready and not run.over
        status = {
            "phase": "Running",
            "podIP": self.address(pod),
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"name": "redis", "ready": ready, "restartCount": 0, "state": state}],
        }
        self._set(pod, status)

    def _report(self, stateful_set: Object) -> None:
        name = stateful_set["metadata"]["name"]
        own = [p for p in self.pods() if _owner(p) == name]
        ready = sum(1 for p in own if _is_ready(p))
        generation = stateful_set["metadata"]["generation"]
        self._set(stateful_set, {"observedGeneration": generation, "replicas": len(own), "readyReplicas": ready})

    def _set(self, obj: Object, status: Mapping[str, Any]) -> None:
        meta = obj["metadata"]
        found = self.cluster.find(obj["kind"], meta["name"], meta["namespace"])
        if found is not None and found.get("status") != status:
            where = {"namespace": meta["namespace"], "manager": "controllers"}
            self.cluster.edit(obj["kind"], meta["name"], lambda o: o.__setitem__("status", status), **where)

    def _files(self, pod: Object) -> dict[str, str] | None:
        """What is mounted: without the Secret a pod does not start."""
        tier = pod["metadata"]["labels"][names.LABEL_CACHE]
        secret = self.cluster.find("Secret", names.config_secret(tier), pod["metadata"]["namespace"])
        if secret is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def _owner(pod: Object) -> str:
    name: str = pod["metadata"]["ownerReferences"][0]["name"]
    return name


def _number(pod: Object) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def _is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
