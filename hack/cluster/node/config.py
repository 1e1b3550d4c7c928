"""Configuration files of containerd, its network and the kubelet, as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import versions
from hack.cluster.node import network
from hack.cluster.node.layout import NAME, Layout
from hack.cluster.node.machine import Machine

SNAPSHOTTER = "overlayfs"


def pause_image() -> str:
    """Return the image that holds each pod's namespaces."""
    return f"localhost/pause:{versions.of('pause')}"


def containerd(root: Path, socket: Path, layout: Layout | None, machine: Machine) -> str:
    """Return containerd's configuration (TOML).

    ``root`` is its store. With ``layout`` it runs pods; without, it only unpacks images.
    """
    lines = [
        "version = 3",
        f"root = {_quoted(root)}",
        "state = '/run/containerd'",
        # Device and resource plugins would leave folders on the host; nothing here uses them.
        "disabled_plugins = ['io.containerd.nri.v1.nri']",
        "[grpc]",
        f"address = {_quoted(socket)}",
        "[plugins.'io.containerd.internal.v1.opt']",
        "path = '/run/containerd-opt'",
        "[plugins.'io.containerd.cri.v1.images']",
        f"snapshotter = '{SNAPSHOTTER}'",
        "[plugins.'io.containerd.cri.v1.images'.pinned_images]",
        f"sandbox = '{pause_image()}'",
    ]
    if layout is None:
        return "\n".join(lines) + "\n"
    return (
        "\n".join(
            [
                *lines,
                "[plugins.'io.containerd.cri.v1.runtime']",
                # A pod may not ask for a lower OOM score than ours where we may not lower scores.
                f"restrict_oom_score_adj = {_toml(not machine.may_raise_limits)}",
                "[plugins.'io.containerd.cri.v1.runtime'.containerd]",
                "default_runtime_name = 'runc'",
                "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]",
                "runtime_type = 'io.containerd.runc.v2'",
                "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]",
                f"BinaryName = {_quoted(layout.programs / 'runc')}",
                "SystemdCgroup = false",
                "[plugins.'io.containerd.cri.v1.runtime'.cni]",
                f"bin_dirs = [{_quoted(layout.programs)}]",
                f"conf_dir = {_quoted(layout.config / 'cni')}",
                # Otherwise the CNI plugin of that name would have to be there.
                "use_internal_loopback = true",
            ]
        )
        + "\n"
    )


def cni() -> str:
    """Return the pod network (JSON): one bridge, addresses from the pod range, host ports."""
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,  # the host has a route back to the pods
        "hairpinMode": True,  # a pod may reach itself through its Service
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": network.POD_CIDR}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": "/run/cni",
        },
    }
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "1.0.0", "name": "sophia", "plugins": plugins}, indent=1)


def kubelet(layout: Layout, machine: Machine) -> str:
    """Return the kubelet's configuration (YAML)."""
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(layout.pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{layout.socket}",
        "clusterDomain": "cluster.local",
        "clusterDNS": [network.DNS_ADDRESS],
        "resolvConf": str(layout.config / "resolv.conf"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{NAME}",
        "failCgroupV1": False,  # Kubernetes would rather not, but it works, and not every machine has v2
        "failSwapOn": False,  # laptops have swap
        "protectKernelDefaults": True,  # fail rather than change settings of the whole machine
        "maxOpenFiles": min(machine.open_files, 1_000_000),
        "maxPods": 200,
        "volumePluginDir": str(layout.memory / "volume-plugins"),
        "podLogsDir": str(layout.memory / "pod-logs"),
        "serializeImagePulls": False,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        # Never collect images: they were loaded, and could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        # Low limits, so that only a test that wants evictions sees them; and pressure that ends soon is over soon.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
            "imagefs.inodesFree": "1%",
        },
        "evictionPressureTransitionPeriod": "10s",
    }
    if not machine.may_raise_limits:
        config["oomScoreAdj"] = 0
    return yaml.safe_dump(config, sort_keys=False)


def _quoted(value: Path | str) -> str:
    text = str(value)
    if "'" in text or "\n" in text:
        raise ValueError(f"containerd's configuration cannot hold the path {text!r}")
    return f"'{text}'"


def _toml(value: bool) -> str:
    return "true" if value else "false"
