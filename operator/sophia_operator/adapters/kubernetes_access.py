"""How to reach the API server: from inside the cluster, or by a kubeconfig."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import getproxies

from kubernetes.aio import client, config

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


class AccessError(Exception):
    """There is no usable way to the API server; the message says why."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What another client needs to reach the same API server as the same user. Files may be temporary ones."""

    server: str
    ca_path: str | None
    verify: bool
    certificate_path: str | None
    key_path: str | None
    token: str | None
    proxy_url: str | None


class Access:
    """Credentials for one API server. A token is read anew when it is rotated."""

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration

    def client(self) -> client.ApiClient:
        """A client of its own, to be closed by the caller."""
        made = client.ApiClient(self._configuration)
        made.user_agent = "sophia-operator"
        return made

    async def connection(self) -> Connection:
        """The same access, for another client."""
        found = self._configuration
        header = await found.get_api_key_with_prefix("BearerToken", alias="authorization")
        return Connection(
            server=found.host,
            ca_path=found.ssl_ca_cert,
            verify=found.verify_ssl,
            certificate_path=found.cert_file,
            key_path=found.key_file,
            token=header.split(" ", 1)[-1] if header else None,
            proxy_url=found.proxy,
        )


async def load(kubeconfig: Path | None = None, context: str | None = None) -> Access:
    """Access by the kubeconfig if one is named, else as the pod's service account, else by $KUBECONFIG or the
    user's own kubeconfig. Raises AccessError."""
    configuration = client.Configuration()
    try:
        if kubeconfig is None and context is None and os.environ.get(_IN_CLUSTER):
            config.load_incluster_config(configuration)
        else:
            # Refreshed tokens are kept in memory: the operator changes no file of its user's.
            await config.load_kube_config(
                config_file=str(kubeconfig) if kubeconfig is not None else None,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (config.ConfigException, OSError) as error:
        raise AccessError(str(error)) from error
    # Proxies that the environment names are used. Without any, the library would still look for a .netrc, in a
    # thread, before each request.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    return Access(configuration)
