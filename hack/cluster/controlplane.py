"""Only etcd and kube-apiserver, on loopback: a real API for tests and benchmarks in seconds, without root.

::

    with controlplane.running() as kubeconfig:
        ...  # kubectl --kubeconfig kubeconfig get namespaces
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hack.cluster import binaries, components, daemons, kubeconfig, pki

CONTEXT = "sophia-controlplane"
_SERVICE_CIDR = "10.78.0.0/16"
_SERVICE_IP = "10.78.0.1"
_READY_TIMEOUT_SECONDS = 90.0
_PREFIX = "sophia-controlplane-"
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2 << 30
_LOCK = ".lock"
_LOCKED_WITHIN_SECONDS = 1.0
"""How long it can take, at most, from making the lock's file to holding it."""


@contextmanager
def running(*, controller_manager: bool = False, audit_log: Path | None = None) -> Iterator[Path]:
    """Start a control plane in a temporary directory and yield the path of an administrator's kubeconfig.

    With ``controller_manager`` the built-in controllers run as well: garbage collection, Deployments,
    namespaces that go away, service accounts. There is no kubelet, so no pod ever runs. ``audit_log`` is
    a file that gets one JSON line for each request, who made it among the rest. Whatever is
    missing of the programs is provided first, which can take minutes on a bare machine. Everything ends
    when the block ends, and when this process dies. Raises daemons.DaemonError when it does not become ready.
    """
    programs = binaries.ensure([name for name in binaries.CONTROL_PLANE if name != "kubectl"])
    with _folder() as directory, ExitStack() as stack:
        endpoints = _endpoints()
        keys = pki.create(
            directory / "pki",
            [
                components.apiserver_identity(endpoints, _SERVICE_IP),
                components.ADMIN,
                components.CONTROLLER_MANAGER,
            ],
        )
        started: list[daemons.Daemon] = []

        def start(argv: list[str]) -> None:
            name, *arguments = argv
            words, log = [str(programs / name), *arguments], directory / "log" / f"{name}.log"
            daemon = daemons.Daemon(name, words, log, components.ENVIRONMENT)
            stack.callback(daemon.kill)
            started.append(daemon)

        start(components.etcd(endpoints, directory / "etcd"))
        words = components.apiserver(endpoints, keys, service_accounts=controller_manager, kubelet=False)
        start([*words, *(_audit(directory, audit_log) if audit_log is not None else [])])
        daemons.wait_until(
            lambda: daemons.api_ready(endpoints.server, keys, components.ADMIN.name),
            started,
            "kube-apiserver",
            timeout=_READY_TIMEOUT_SECONDS,
        )
        if controller_manager:
            access = _access(
                directory / "kube-controller-manager.kubeconfig",
                endpoints,
                keys,
                components.CONTROLLER_MANAGER,
            )
            (port,) = daemons.free_ports(1)
            start(components.controller_manager(keys, access, port=port))
        yield _access(directory / "kubeconfig", endpoints, keys, components.ADMIN)


def _audit(directory: Path, log: Path) -> list[str]:
    """Flags of the API server to log each request once it is answered."""
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata"}],
    }
    path = directory / "audit-policy.json"
    path.write_text(json.dumps(policy))
    # A line is there before the answer is sent, so that whoever got the answer finds it.
    return [f"--audit-policy-file={path}", f"--audit-log-path={log.absolute()}", "--audit-log-mode=blocking-strict"]


def _endpoints() -> components.Endpoints:
    client, peer, port = daemons.free_ports(3)
    return components.Endpoints(
        etcd_client_port=client,
        etcd_peer_port=peer,
        bind_address="127.0.0.1",
        advertise_address="127.0.0.1",
        port=port,
        service_cidr=_SERVICE_CIDR,
    )


def _access(path: Path, endpoints: components.Endpoints, keys: pki.Authority, identity: pki.Identity) -> Path:
    return kubeconfig.write(path, context=CONTEXT, server=endpoints.server, authority=keys, identity=identity.name)


@contextmanager
def _folder() -> Iterator[Path]:
    """Make the folder for everything, in memory where the machine has room for it, and remove it at the end."""
    places = [place for place in (_MEMORY, Path(tempfile.gettempdir())) if place.is_dir() and os.access(place, os.W_OK)]
    for place in places:
        _sweep(place)
    room = os.statvfs(places[0])
    place = places[0] if room.f_bavail * room.f_frsize > _ROOM_BYTES else places[-1]
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=place) as folder, Path(folder, _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


def _sweep(place: Path) -> None:
    """Remove the folders of processes that were killed and could not do it themselves: nobody holds their lock."""
    for lock in place.glob(f"{_PREFIX}*/{_LOCK}"):
        # Not ours to read, or just removed by its owner: leave it.
        with contextlib.suppress(OSError), lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - lock.stat().st_mtime > _LOCKED_WITHIN_SECONDS:
                shutil.rmtree(lock.parent, ignore_errors=True)
