"""Only etcd and kube-apiserver, on loopback: a real API for tests and benchmarks in seconds, without root.

::

    with controlplane.running() as kubeconfig:
        ...  # kubectl --kubeconfig kubeconfig get namespaces
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hack.cluster import binaries, components, daemons, kubeconfig, pki

CONTEXT = "sophia-controlplane"
_SERVICE_CIDR = "10.78.0.0/20"
_SERVICE_IP = "10.78.0.1"
_READY_TIMEOUT_SECONDS = 90.0


@contextmanager
def running(*, controller_manager: bool = False) -> Iterator[Path]:
    """Start a control plane in a temporary directory and yield the path of an administrator's kubeconfig.

    With ``controller_manager`` the built-in controllers run as well: garbage collection, Deployments,
    namespaces that go away, service accounts. There is no kubelet, so no pod ever runs. Whatever is
    missing of the programs is provided first, which can take minutes on a bare machine. Everything ends
    when the block ends, and when this process dies. Raises daemons.DaemonError when it does not become ready.
    """
    programs = binaries.ensure([name for name in binaries.CONTROL_PLANE if name != "kubectl"])
    with tempfile.TemporaryDirectory(prefix="sophia-controlplane-") as folder, ExitStack() as stack:
        directory = Path(folder)
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
            daemon = daemons.Daemon(name, [str(programs / name), *arguments], directory / "log" / f"{name}.log")
            stack.callback(daemon.kill)
            started.append(daemon)

        start(components.etcd(endpoints, _in_memory(stack) or directory / "etcd"))
        start(components.apiserver(endpoints, keys, service_accounts=controller_manager, kubelet=False))
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


def _in_memory(stack: ExitStack) -> Path | None:
    """Return a folder for etcd's data in memory, gone at the end, where the machine has room for it there."""
    memory = Path("/dev/shm")
    try:
        room = os.statvfs(memory)
    except OSError:
        return None
    if room.f_bavail * room.f_frsize < 2 << 30 or not os.access(memory, os.W_OK):
        return None
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sophia-etcd-", dir=memory)))
