"""The control plane without a node: real, ready soon, and gone with whoever started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hack.cluster import binaries, controlplane, paths
from hack.cluster.kubectl import Kubectl

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(1800)]  # a bare machine builds the programs first

_HOLD = """
import sys
from hack.cluster import controlplane
with controlplane.running() as kubeconfig:
    print(kubeconfig, flush=True)
    sys.stdin.read()
"""


def processes_of(folder: Path) -> list[int]:
    """Return the pids of running programs that have ``folder`` among their words."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_text(errors="replace")
            except OSError:
                continue
            if f"{folder}/" in words:
                found.append(int(entry.name))
    return found


def gone(folder: Path) -> bool:
    """Wait until no program uses ``folder``; False when some still do after 10 s."""
    deadline = time.monotonic() + 10
    while processes_of(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_it_serves_an_administrator_and_ends_with_the_block() -> None:
    programs = binaries.ensure(["kubectl"])
    with controlplane.running() as kubeconfig:
        kubectl = Kubectl(programs, kubeconfig)
        kubectl.call("create", "namespace", "here")
        assert "apiserver_request_total" in kubectl.raw("/metrics")
        # Nobody makes service accounts, and pods are taken all the same.
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "here"}}
        spec = {"containers": [{"name": "c", "image": "localhost/none:0"}]}
        kubectl.apply(json.dumps({**pod, "spec": spec}))
        assert kubectl.exists("pod", "p", "here")
        assert len(processes_of(kubeconfig.parent)) == 2
    assert not kubeconfig.parent.exists()
    assert gone(kubeconfig.parent)


def test_with_the_controllers_children_are_collected() -> None:
    programs = binaries.ensure(["kubectl"])
    with controlplane.running(controller_manager=True) as kubeconfig:
        kubectl = Kubectl(programs, kubeconfig)
        kubectl.call("create", "deployment", "d", "--image=localhost/none:0", "--replicas=2")
        kubectl.call("rollout", "status", "deployment/d", "--watch=false")
        deadline = time.monotonic() + 30
        while len(kubectl.json("get", "pods")["items"]) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        kubectl.call("delete", "deployment", "d", "--cascade=foreground", "--wait", timeout=60)
        assert kubectl.json("get", "replicasets")["items"] == []


def test_it_dies_with_a_process_that_is_killed() -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD],
        cwd=paths.REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(paths.REPOSITORY)},
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder.stdin, holder.stdout:
        folder = Path(holder.stdout.readline().strip()).parent
        assert len(processes_of(folder)) == 2
        holder.kill()
        holder.wait()
    assert gone(folder)
    assert folder.exists()  # nobody was left to remove it, so the next one does
    os.utime(folder / ".lock", (0, 0))
    with controlplane.running() as first:
        assert not folder.exists()
        os.utime(first.parent / ".lock", (0, 0))
        with controlplane.running() as second:
            assert first.exists()
            assert second.exists()
