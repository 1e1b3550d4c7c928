"""Reads the kubeconfig: which API server, as whom, in which namespace; or what is wrong with the file."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Any, Final

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION

from sophia_operator.cli.session import CliError

#: A request that failed is not tried again: each try would double the time that a silent server takes. Only a server
#: that answers "later" (and says when) is asked again.
_RETRIES: Final = urllib3.Retry(total=3, connect=0, read=0, other=0, retry_after_max=5)
#: What the client library stumbles over when the file is no kubeconfig, or only half of one.
_STUMBLES: Final = (ConfigException, OSError, yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError)


@dataclass(frozen=True, slots=True)
class Access:
    """A way to an API server."""

    client: Any
    context: str
    #: The namespace of the context.
    namespace: str


def access(*, kubeconfig: str | None, context: str | None) -> Access:
    """The way that the kubeconfig describes; CliError when there is none, or the file is broken."""
    try:
        found = _read(kubeconfig, context)
    except _STUMBLES as error:
        path = kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION
        raise CliError(
            f"no usable kubeconfig {path}: {_why(error)}; mend it, or name another one with --kubeconfig"
        ) from error
    if found is None:
        raise CliError(f"the kubeconfig has no context {context!r}")
    return found


def _read(kubeconfig: str | None, context: str | None) -> Access | None:
    contexts, active = config.list_kube_config_contexts(config_file=kubeconfig)
    chosen = next((c for c in contexts if c["name"] == context), None) if context else active
    if chosen is None:
        return None
    # Refreshed tokens stay in memory: the file is the user's.
    made = config.new_client_from_config(
        config_file=kubeconfig,
        context=chosen["name"],
        persist_config=False,
        client_configuration=client.Configuration(host="", retries=_RETRIES),
    )
    if not made.configuration.host.startswith(("https://", "http://")):
        raise ConfigException(f"the cluster of context {chosen['name']} has no server, or one that is no https:// URL")
    return Access(made, str(chosen["name"]), str(chosen["context"].get("namespace") or "default"))


def _why(error: Exception) -> str:
    """In one line, and without the values of the file: there are keys and tokens among them."""
    match error:
        case yaml.MarkedYAMLError(problem_mark=mark) if mark is not None:
            return f"{mark.name} is no YAML at line {mark.line + 1}"
        case yaml.YAMLError():
            return "it is no YAML"
        case binascii.Error():
            return "a certificate or key in it is no base64"
        case ConfigException() | OSError():
            # The client library names an entry by all that is in it.
            return " ".join(str(error).split("/{")[0].split()).rstrip(".")
        case _:
            return "it does not have the clusters, users and contexts of a kubeconfig in the form that they must have"
