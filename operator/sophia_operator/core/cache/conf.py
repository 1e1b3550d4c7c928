"""redis.conf, and the scripts of a node: what it starts with.

A node that starts accepts no writes: it is a replica of an address where nobody answers, until the operator tells it
whom to follow, or that it is the primary. So `replicaof` is here, and never says who the primary is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sophia_operator.api.redis_level import ManagedRedis
from sophia_operator.core.cache import names
from sophia_operator.core.cache.settings import spec_settings
from sophia_operator.core.cache.users import users_file
from sophia_operator.core.cache.views import TierAccess, TierView

#: Where pods find the files of the configuration, those of TLS, and their data.
FOLDER: Final = "/etc/redis"
TLS_FOLDER: Final = "/etc/redis-tls"
DATA: Final = "/data"

CONF: Final = "redis.conf"
USERS: Final = "users.acl"
START: Final = "start.sh"
PROBE: Final = "probe.sh"
#: Keys of the TLS Secret.
CA: Final = "ca.crt"
CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"

#: How long a primary that is told to end waits until its replicas have everything.
SHUTDOWN_SECONDS: Final = 10
_PLAIN: Final = re.compile(r"[A-Za-z0-9._/:$%+@-]+")

_START: Final = """\
# Starts Redis, or Valkey: whichever the image has.
folder=${0%/*} log= snapshot=
while read -r name value; do
  case "$name $value" in
    "dir "*) data=$value ;;
    "appendonly no") log=stale ;;
    'save ""') snapshot=stale ;;
  esac
done <"$folder/redis.conf"
# What is on disk and is not kept up is of another time: an earlier setting left it, or a replica was sent it.
[ -z "$log" ] || rm -rf "${data:?}/appendonlydir"
[ -z "$snapshot" ] || rm -f "${data:?}/dump.rdb"
server=redis-server
command -v "$server" >/dev/null || server=valkey-server
exec "$server" "$folder/redis.conf" --replica-announce-ip "$POD_IP"
"""

_PROBE: Final = """\
# probe.sh ready|alive [options of redis-cli]. Ready: it answers PING. Alive: it answers, be it that it reads its data
# still, or that a script keeps it busy. The password is in REDISCLI_AUTH.
question=$1
shift
client=redis-cli
command -v "$client" >/dev/null || client=valkey-cli
answer=$("$client" "$@" --user @PROBER@ --no-auth-warning ping 2>/dev/null) || exit 1
[ "$question" = alive ] || [ "$answer" = PONG ]
"""


def start_script() -> str:
    """`start.sh`, which becomes the server."""
    return _START


def probe_script() -> str:
    """`probe.sh ready|alive [options]`."""
    return _PROBE.replace("@PROBER@", names.PROBER)


def files(tier: TierView, access: TierAccess) -> dict[str, str] | None:
    """Every file of the configuration by its name; None while a password is missing, or no node is the operator's."""
    redis = tier.spec.redis.managed if tier.spec.redis is not None else None
    client, admin = access.client_password, access.admin_password
    replicator, prober = access.replicator_password, access.prober_password
    if redis is None or client is None or admin is None or replicator is None or prober is None:
        return None
    return {
        CONF: _text([*_settings(redis), *_secret(replicator)], spec_settings(tier.spec)),
        PROBE: probe_script(),
        START: start_script(),
        USERS: users_file(tier.name, client=client, admin=admin, replicator=replicator, prober=prober),
    }


def static_settings(redis: ManagedRedis) -> str:
    """What only a new process takes, without passwords."""
    return _text(_settings(redis), {})


def _settings(redis: ManagedRedis) -> list[tuple[str, str]]:
    settings = [
        ("aclfile", f"{FOLDER}/{USERS}"),
        ("bind", "* -::*"),
        ("daemonize", "no"),
        # One, so that every key is where the operator looks.
        ("databases", "1"),
        ("dir", DATA),
        # Until the operator tells it otherwise: as a primary, it accepts no writes while it has no replica.
        (names.MIN_REPLICAS, "1"),
        # Users and passwords are the protection.
        ("protected-mode", "no"),
        # Of a primary that was read from once, no file stays behind to be read at the next start.
        ("rdb-del-sync-files", "yes"),
        ("repl-diskless-sync", "yes"),
        ("repl-diskless-sync-delay", "0"),
        (names.REPLICA_PING, str(names.REPLICA_PING_SECONDS)),
        ("replica-read-only", "yes"),
        # A replica without its primary is ready all the same: it may be the next one.
        ("replica-serve-stale-data", "yes"),
        ("replicaof", f"{names.FENCE_HOST} {names.FENCE_PORT}"),
        ("shutdown-timeout", str(SHUTDOWN_SECONDS)),
    ]
    if redis.tls is None:
        return [*settings, ("port", str(names.PORT))]
    return [
        *settings,
        ("port", "0"),
        ("tls-port", str(names.PORT)),
        ("tls-replication", "yes"),
        # Clients say who they are by their password.
        ("tls-auth-clients", "no"),
        ("tls-ca-cert-file", f"{TLS_FOLDER}/{CA}"),
        ("tls-cert-file", f"{TLS_FOLDER}/{CERTIFICATE}"),
        ("tls-key-file", f"{TLS_FOLDER}/{KEY}"),
    ]


def _secret(replicator_password: str) -> list[tuple[str, str]]:
    return [("masterauth", _quoted(replicator_password)), ("masteruser", names.REPLICATOR)]


def _text(static: list[tuple[str, str]], live: Mapping[str, str]) -> str:
    lines = [f"{name} {value}" for name, value in sorted(static)]
    taken_live = [f"{name} {_quoted(value)}" for name, value in sorted(live.items())]
    return "\n".join([*lines, *(["# Set live as well."] if taken_live else []), *taken_live, ""])


def _quoted(value: str) -> str:
    """One word of redis.conf: as it is, or between marks with everything that is special written as its bytes."""
    if _PLAIN.fullmatch(value):
        return value
    text = "".join(_escaped(byte) for byte in value.encode())
    return f'"{text}"'


def _escaped(byte: int) -> str:
    letter = chr(byte)
    return letter if letter.isascii() and letter.isprintable() and letter not in '"\\' else f"\\x{byte:02x}"
