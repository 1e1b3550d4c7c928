"""Command lines of etcd and the Kubernetes control plane, with the reasons for the flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hack.cluster import pki

#: Processors are scarcer than memory where this runs: a fifth of the API server's time went into collecting garbage.
ENVIRONMENT = {"GOGC": "400"}

SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc.cluster.local"

ADMIN = pki.Identity("admin", "admin", "system:masters")
CONTROLLER_MANAGER = pki.Identity("kube-controller-manager", "system:kube-controller-manager")
KUBELET_CLIENT = pki.Identity("apiserver-kubelet", "apiserver-kubelet", "system:masters")
FRONT_PROXY = pki.Identity("front-proxy", "front-proxy-client")


@dataclass(frozen=True)
class Endpoints:
    """Where the control plane listens."""

    etcd_client_port: int
    etcd_peer_port: int
    bind_address: str
    advertise_address: str
    port: int
    service_cidr: str

    @property
    def etcd(self) -> str:
        """The URL at which the API server finds etcd."""
        return f"http://127.0.0.1:{self.etcd_client_port}"

    @property
    def server(self) -> str:
        """The URL of the API server for clients."""
        return f"https://{self.advertise_address}:{self.port}"


def apiserver_identity(endpoints: Endpoints, service_ip: str) -> pki.Identity:
    """Return the API server's serving identity: every name by which pods and people reach it."""
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names += ["kubernetes.default.svc.cluster.local", "localhost"]
    addresses = dict.fromkeys(["127.0.0.1", endpoints.advertise_address, service_ip])
    alternatives = (*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses))
    return pki.Identity("apiserver", "kube-apiserver", alternative_names=alternatives)


def etcd(endpoints: Endpoints, data: Path) -> list[str]:
    """Return etcd's command line: one member, on loopback."""
    peer = f"http://127.0.0.1:{endpoints.etcd_peer_port}"
    return [
        "etcd",
        "--name=local",
        f"--data-dir={data}",
        # A cluster that is thrown away need not survive a power cut; syncing each write costs most of its
        # time.
        "--unsafe-no-fsync",
        # The benchmarks keep thousands of objects with their history.
        f"--quota-backend-bytes={8 << 30}",
        f"--listen-client-urls={endpoints.etcd}",
        f"--advertise-client-urls={endpoints.etcd}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        "--log-level=warn",
    ]


def apiserver(endpoints: Endpoints, keys: pki.Authority, *, service_accounts: bool, kubelet: bool) -> list[str]:
    """Return the API server's command line.

    ``service_accounts``: a controller makes them, so that pods must have theirs. ``kubelet``: there is one to talk to,
    for logs and exec, and API servers may be aggregated.
    """
    words = [
        "kube-apiserver",
        f"--etcd-servers={endpoints.etcd}",
        f"--bind-address={endpoints.bind_address}",
        f"--advertise-address={endpoints.advertise_address}",
        f"--secure-port={endpoints.port}",
        f"--service-cluster-ip-range={endpoints.service_cidr}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        f"--client-ca-file={keys.ca}",
        f"--tls-cert-file={keys.certificate('apiserver')}",
        f"--tls-private-key-file={keys.key('apiserver')}",
        f"--service-account-issuer={SERVICE_ACCOUNT_ISSUER}",
        f"--service-account-key-file={keys.service_account_key}",
        f"--service-account-signing-key-file={keys.service_account_key}",
        # Tests and benchmarks come in bursts from one machine: a limit met here would measure the limit.
        "--max-requests-inflight=3000",
        "--max-mutating-requests-inflight=1500",
        # Watches that tests leave open must not hold up the end.
        "--shutdown-delay-duration=0s",
    ]
    if not service_accounts:
        words.append("--disable-admission-plugins=ServiceAccount")
    if not kubelet:
        return words
    return [
        *words,
        "--enable-admission-plugins=NodeRestriction",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={keys.ca}",
        f"--kubelet-client-certificate={keys.certificate(KUBELET_CLIENT.name)}",
        f"--kubelet-client-key={keys.key(KUBELET_CLIENT.name)}",
        f"--requestheader-client-ca-file={keys.ca}",
        f"--requestheader-allowed-names={FRONT_PROXY.common_name}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={keys.certificate(FRONT_PROXY.name)}",
        f"--proxy-client-key-file={keys.key(FRONT_PROXY.name)}",
    ]


def controller_manager(keys: pki.Authority, kubeconfig: Path, *, port: int | None = None) -> list[str]:
    """Return the controller manager's command line. ``port`` serves its metrics; None is the default."""
    words = [
        "kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={keys.service_account_key}",
        f"--root-ca-file={keys.ca}",
        f"--cluster-signing-cert-file={keys.ca}",
        f"--cluster-signing-key-file={keys.ca_key}",
        "--use-service-account-credentials",
        f"--flex-volume-plugin-dir={keys.directory}",  # unused, but made where it points
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        # At the default of 20 requests a second the controllers take 5 s to start.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]
    return words if port is None else [*words, f"--secure-port={port}"]
