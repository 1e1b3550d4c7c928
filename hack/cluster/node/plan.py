"""What the node's first process is to do, as data: written by ``up``, read by init.py inside the namespaces."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hack.cluster import components, pki
from hack.cluster.node import config, network
from hack.cluster.node.layout import NAME, Layout
from hack.cluster.node.machine import Machine

ENDPOINTS = components.Endpoints(
    etcd_client_port=2379,
    etcd_peer_port=2380,
    bind_address="0.0.0.0",
    advertise_address=network.NODE_ADDRESS,
    port=6443,
    service_cidr=network.SERVICE_CIDR,
)
SCHEDULER = pki.Identity("kube-scheduler", "system:kube-scheduler")
PROXY = pki.Identity("kube-proxy", "system:kube-proxy")
KUBELET = pki.Identity(
    "kubelet",
    f"system:node:{NAME}",
    "system:nodes",
    (f"DNS:{NAME}", f"IP:{network.NODE_ADDRESS}"),
)
WITH_KUBECONFIG = (components.CONTROLLER_MANAGER, SCHEDULER, PROXY, KUBELET)
IDENTITIES = (
    components.apiserver_identity(ENDPOINTS, network.API_SERVICE_ADDRESS),
    components.ADMIN,
    components.KUBELET_CLIENT,
    components.FRONT_PROXY,
    *WITH_KUBECONFIG,
)
MEMORY_SIZE = "6g"


@dataclass(frozen=True)
class Plan:
    """Everything that init.py needs; only what JSON can hold."""

    hostname: str
    memory: str
    """Where to mount the file system in memory."""
    memory_size: str
    image_store: str
    """Folder with the unpacked images, of which ``containerd_root`` is made."""
    containerd_root: str
    log: str
    ended: str
    path: str
    """PATH of the components."""
    kernel_settings: dict[str, str]
    """Names below /proc/sys and the values that the kubelet shall find there, without the machine's being changed."""
    settings_folder: str
    first: dict[str, list[str]]
    """Component -> command line, started at once."""
    then: dict[str, list[str]]
    """The same, started when the API server is ready."""
    pki: str
    files: dict[str, str]
    """Configuration files: path below the configuration folder -> content."""

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the plan: a node that runs with the same one need not be replaced.

        The images are left out, because they can be loaded into a running node.
        """
        facts = asdict(self)
        del facts["image_store"]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Write the plan as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))


def read(path: Path) -> Plan:
    """Read a plan that ``write`` wrote."""
    return Plan(**json.loads(path.read_text()))


def make(layout: Layout, machine: Machine, image_store: Path) -> Plan:
    """Return the plan of a node."""
    keys = pki.Authority(layout.pki)
    return Plan(
        hostname=NAME,
        memory=str(layout.memory),
        memory_size=MEMORY_SIZE,
        image_store=str(image_store),
        containerd_root=str(layout.containerd),
        log=str(layout.log),
        ended=str(layout.ended),
        path=f"{layout.programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        # What the kubelet insists on. They are settings of the whole machine, so it gets to see files of ours instead.
        kernel_settings={
            "vm/overcommit_memory": "1",
            "vm/panic_on_oom": "0",
            "kernel/panic": "10",
            "kernel/panic_on_oops": "1",
            "kernel/keys/root_maxkeys": "1000000",
            "kernel/keys/root_maxbytes": "25000000",
        },
        settings_folder=str(layout.config / "kernel"),
        first=_absolute(layout, _first(layout, keys)),
        then=_absolute(layout, _then(layout, machine, keys)),
        pki=str(layout.pki),
        files={
            "containerd.toml": config.containerd(layout.containerd, layout.socket, layout, machine),
            "kubelet.yaml": config.kubelet(layout, machine),
            "cni/10-sophia.conflist": config.cni(),
            "resolv.conf": "# The node has no resolver outside the cluster.\n",
        },
    )


def _absolute(layout: Layout, commands: list[list[str]]) -> dict[str, list[str]]:
    return {name: [str(layout.programs / name), *arguments] for name, *arguments in commands}


def _first(layout: Layout, keys: pki.Authority) -> list[list[str]]:
    return [
        components.etcd(ENDPOINTS, layout.memory / "etcd"),
        components.apiserver(ENDPOINTS, keys, service_accounts=True, kubelet=True),
        ["containerd", f"--config={layout.config / 'containerd.toml'}"],
    ]


def _then(layout: Layout, machine: Machine, keys: pki.Authority) -> list[list[str]]:
    scheduler = layout.kubeconfig(SCHEDULER.name)
    proxy = [
        "kube-proxy",
        f"--kubeconfig={layout.kubeconfig(PROXY.name)}",
        f"--hostname-override={NAME}",
        f"--proxy-mode={'nftables' if machine.nftables else 'iptables'}",
        f"--cluster-cidr={network.POD_CIDR}",
        # 0 leaves the machine's connection tracking as it is.
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ]
    if not machine.may_raise_limits:
        proxy.append("--oom-score-adj=0")
    return [
        components.controller_manager(keys, layout.kubeconfig(components.CONTROLLER_MANAGER.name)),
        [
            "kubelet",
            f"--config={layout.config / 'kubelet.yaml'}",
            f"--kubeconfig={layout.kubeconfig(KUBELET.name)}",
            f"--hostname-override={NAME}",
            f"--node-ip={network.NODE_ADDRESS}",
            f"--root-dir={layout.memory / 'kubelet'}",
            f"--cert-dir={layout.memory / 'kubelet-pki'}",
        ],
        [
            "kube-scheduler",
            f"--kubeconfig={scheduler}",
            f"--authentication-kubeconfig={scheduler}",
            f"--authorization-kubeconfig={scheduler}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ],
        proxy,
    ]
