#!/bin/sh
# Make the database of a primary, or a copy of the primary's for a standby, on the first start; then become the server.
#
#   ROLE                    primary (default) or standby
#   PRIMARY_HOST            of a standby: where its primary is
#   ADMIN_PASSWORD          of the superuser, postgres
#   REPLICATION_PASSWORD    of the user replicator, which standbys connect as
#   POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB
#                           an ordinary user, who may see what others do, and the database that it owns
#   TLS_REQUIRED            1: refuses who comes without TLS
#   MAX_CONNECTIONS         100 by default
#   STATEMENTS              0: without pg_stat_statements
#   PORT                    5432 by default; of a standby, that of its primary is PRIMARY_PORT
#
# With a certificate in /tls (tls.crt, tls.key) the server speaks TLS. All data is in /data, or in the folder DATA.
# Nothing is flushed to disk: a crash of the machine may lose everything, a crash of the server loses nothing.
set -eu
umask 077

data=${DATA:-/data}
export PGDATA="$data/db"
role=${ROLE:-primary}
# Becomes $PGDATA when it is whole: a container that is killed before begins anew.
new=$data/new
statements=${STATEMENTS:-1}

say() { echo "entrypoint: $*" >&2; }

literal() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; }

identifier() { printf '"%s"' "$(printf %s "$1" | sed 's/"/""/g')"; }

# Statements in single-user mode end at an empty line.
alone() { postgres --single -j -D "$new" -c fsync=off "$1" >/dev/null; }

make_primary() {
  : "${ADMIN_PASSWORD:?}" "${REPLICATION_PASSWORD:?}" "${POSTGRES_USER:?}" "${POSTGRES_PASSWORD:?}" "${POSTGRES_DB:?}"
  printf %s "$ADMIN_PASSWORD" > "$data/admin"
  initdb --pgdata="$new" --username=postgres --pwfile="$data/admin" --encoding=UTF8 --locale=C.UTF-8 --no-sync \
    --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  rm "$data/admin"
  alone postgres <<SQL
CREATE ROLE replicator LOGIN REPLICATION PASSWORD $(literal "$REPLICATION_PASSWORD");

CREATE ROLE $(identifier "$POSTGRES_USER") LOGIN IN ROLE pg_monitor PASSWORD $(literal "$POSTGRES_PASSWORD");

CREATE DATABASE $(identifier "$POSTGRES_DB") OWNER $(identifier "$POSTGRES_USER");
SQL
  if [ "$statements" = 1 ]; then
    echo "CREATE EXTENSION pg_stat_statements;" | alone "$POSTGRES_DB"
  fi
}

make_standby() {
  : "${PRIMARY_HOST:?}" "${REPLICATION_PASSWORD:?}"
  export PGPASSWORD="$REPLICATION_PASSWORD" PGCONNECT_TIMEOUT=2
  tries=0
  until pg_basebackup --pgdata="$new" --wal-method=stream --checkpoint=fast --no-sync --write-recovery-conf \
    --dbname="host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=replicator application_name=${HOSTNAME:-standby}"; do
    rm -rf "$new"
    tries=$((tries + 1))
    if [ "$tries" -ge 120 ]; then
      say "no copy of $PRIMARY_HOST after $tries tries"
      exit 1
    fi
    sleep 0.5
  done
}

if [ ! -e "$PGDATA" ]; then
  say "making the database of a $role"
  rm -rf "$new"
  case $role in
    primary) make_primary ;;
    standby) make_standby ;;
    *) say "ROLE is $role, and must be primary or standby"; exit 1 ;;
  esac
  mv "$new" "$PGDATA"
fi

hosts=host
if [ "${TLS_REQUIRED:-0}" = 1 ]; then hosts=hostssl; fi
cat > "$PGDATA/pg_hba.conf" <<HBA
local  all          all         trust
host   replication  replicator  all  scram-sha-256
$hosts  all          all         all  scram-sha-256
HBA

set -- -c listen_addresses='*' -c port="${PORT:-5432}" -c unix_socket_directories="$data" \
  -c max_connections="${MAX_CONNECTIONS:-100}" -c shared_buffers=32MB -c fsync=off -c full_page_writes=off -c jit=off \
  -c wal_keep_size=64MB -c max_wal_senders=5 -c hot_standby=on -c wal_retrieve_retry_interval=500ms \
  -c autovacuum_naptime=10min -c log_line_prefix='%m [%p] %u@%d %h ' -c timezone=UTC "$@"
if [ "$statements" = 1 ]; then
  set -- "$@" -c shared_preload_libraries=pg_stat_statements -c pg_stat_statements.track_utility=off
fi
if [ -e /tls/tls.key ]; then
  # The server takes no key that others could read; a mounted one belongs to root.
  cp /tls/tls.crt /tls/tls.key "$PGDATA/"
  set -- "$@" -c ssl=on -c ssl_cert_file=tls.crt -c ssl_key_file=tls.key
fi
exec postgres -D "$PGDATA" "$@"
