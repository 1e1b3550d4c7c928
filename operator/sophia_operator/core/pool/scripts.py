"""Shell scripts that run in a pod: one starts PgBouncer, one drains it. They need `sh`, `sleep` and `kill`."""

from __future__ import annotations

from typing import Final

START: Final = "start.sh"
DRAIN: Final = "drain.sh"

#: How long proxies are given to notice that the pod left the Service.
_NOTICE_SECONDS: Final = 5
#: How long clients are given to leave by themselves, where PgBouncer goes on serving them meanwhile.
_LEAVE_SECONDS: Final = 8
#: How long transactions in flight are given to finish.
_FINISH_SECONDS: Final = 30
#: After that, a pod that is drained has given back what no transaction holds: all that comes before `finish`, and time
#: to spare.
SETTLE_SECONDS: Final = _NOTICE_SECONDS + _LEAVE_SECONDS + 2
#: All of these, and time to spare: then the kubelet kills what is left.
GRACE_SECONDS: Final = 60

#: Sets `minor` to NN of a version 1.NN, to 99 of later ones, and to that of the oldest when there is no answer.
_VERSION: Final = """\
set -- $(pgbouncer --version)
case "$1 $2" in
  "PgBouncer 1."[0-9]*) minor=${2#1.} minor=${minor%%[!0-9]*} ;;
  "PgBouncer "[2-9]*) minor=99 ;;
  *) minor=18 ;;
esac
"""

_START: Final = (
    """\
# Starts PgBouncer with the newest configuration that its version understands: older ones refuse unknown settings.
folder=${0%/*}
"""
    + _VERSION
    + """\
chosen=$folder/pgbouncer.ini
for file in "$folder"/from-1.*.ini; do
  needed=${file##*/from-1.}
  [ "$minor" -ge "${needed%.ini}" ] && chosen=$file
done
exec pgbouncer "$chosen"
"""
)

_DRAIN: Final = (
    """\
# Ends PgBouncer without breaking transactions. Runs before the pod ends, while it leaves the Service.
pid=${1:-1}
notice=${2:-@NOTICE@}
leave=${3:-@LEAVE@}
finish=${4:-@FINISH@}

# Waits for the process to end, or for so many seconds; the pod goes with the process.
await() {
  waited=0
  while kill -0 "$pid" 2>/dev/null && [ "$waited" -lt "$1" ]; do
    sleep 1
    waited=$((waited + 1))
    [ -z "$2" ] || "$2" || return 1
  done
}

# Whether a connection to the server is open: a transaction in flight, once PgBouncer is paused.
busy() {
  for table in /proc/"$pid"/net/tcp /proc/"$pid"/net/tcp6; do
    [ -r "$table" ] || continue
    while read -r _ _ remote state _; do
      [ "$state" = 01 ] && [ "${remote##*:}" = @PORT@ ] && return 0
    done <"$table"
  done
  return 1
}

"""
    + _VERSION
    + """\
sleep "$notice"
if [ "$minor" -ge 23 ]; then
  # No new clients; those that are there are served until they leave. A second signal would end PgBouncer at once,
  # so transactions in flight are let finish by a pause.
  kill -TERM "$pid"
  await "$leave"
  kill -USR1 "$pid" 2>/dev/null
  await "$finish" busy
else
  # Clients without a transaction are cut off, to connect elsewhere, as soon as no transaction is in flight.
  kill -INT "$pid"
  await "$finish"
fi
exit 0
"""
)


def start_script() -> str:
    """`start.sh`, which becomes PgBouncer."""
    return _START


def drain_script(server_port: int) -> str:
    """`drain.sh [pid] [seconds to notice] [seconds to leave] [seconds to finish]`."""
    values = {
        "NOTICE": str(_NOTICE_SECONDS),
        "LEAVE": str(_LEAVE_SECONDS),
        "FINISH": str(_FINISH_SECONDS),
        "PORT": f"{server_port:04X}",
    }
    text = _DRAIN
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
