#!/usr/bin/env bash
# Puts an archive of backup.sh back: into the data folder of a Redis that does not run, on the machine that has it.
#
#   REDIS_URL=… deploy/scripts/restore.sh --data-dir /var/lib/redis [OPTIONS] ARCHIVE
#   REDIS_URL=… deploy/scripts/restore.sh --data-dir /var/lib/redis --back [before-restore-TIME]
#   REDIS_URL=… deploy/scripts/restore.sh --check ARCHIVE        only compares a running Redis with the archive
#
#   --file NAME         which of an archive's snapshots (of a cluster: one per primary); redis-1.rdb
#   --stop-with CMD     how Redis is stopped,  e.g. 'systemctl stop redis-server'; without it Redis has to be down already
#   --start-with CMD    how Redis is started, e.g. 'systemctl start redis-server'; without it you start it, and --check
#   --config-to FOLDER  also unpacks the configuration there; nothing in place is overwritten
#   --postgres          also loads action_audit into DATABASE_URL, in one transaction; refused where the table exists
#   --down              Redis is down for sure, even where nothing tells so: names of stopped containers do not resolve
#   --force             although processes are connected to this Redis
#   --yes               asks nothing
#
# Checks every checksum before it touches anything. What was in the data folder goes to before-restore-TIME inside it, from
# where --back takes it again. Stops neither the API nor workers: stop them first. All jobs that ended after the backup was
# taken are live again in it and run again. Windlass is given a new epoch, so that readers and effects know that state was
# lost. APPEND_DIR, APPEND_FILE and DB_FILE name Redis' files where redis.conf changed appenddirname, appendfilename or
# dbfilename.
#
# Exit: 0 done, 1 failed, 2 usage, 4 refused, 5 Redis cannot be reached.
set -euo pipefail

say() { printf 'restore: %s\n' "$*" >&2; }

refuse() {
  say "$*"
  exit 4
}

# shellcheck source-path=SCRIPTDIR source=links.sh
. "$(dirname "${BASH_SOURCE[0]}")/links.sh"

append_dir=${APPEND_DIR:-appendonlydir} append_file=${APPEND_FILE:-appendonly.aof} db_file=${DB_FILE:-dump.rdb}
data='' snapshot=redis-1.rdb stop_with='' start_with='' config_to='' with_postgres='' force='' yes='' down='' back='' check='' archive=''

usage() {
  sed -n '2,/^set /p' "${BASH_SOURCE[0]}" | sed -n 's/^# \{0,1\}//p' >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    --data-dir | --file | --stop-with | --start-with | --config-to)
      [ $# -ge 2 ] || usage
      case $1 in
        --data-dir) data=$2 ;;
        --file) snapshot=$2 ;;
        --stop-with) stop_with=$2 ;;
        --start-with) start_with=$2 ;;
        --config-to) config_to=$2 ;;
      esac
      shift
      ;;
    --postgres) with_postgres=1 ;;
    --force) force=1 ;;
    --down) down=1 ;;
    --yes) yes=1 ;;
    --check) check=1 ;;
    --back) back=1 ;;
    -*) usage ;;
    *)
      [ -z "$archive" ] || usage
      archive=$1
      ;;
  esac
  shift
done

# up, down, or why neither can be said.
redis_state() {
  local answer
  answer=$(redis-cli "${link[@]}" PING 2>&1 || true)
  case $answer in
    PONG* | *LOADING*) echo up ;;
    *"Connection refused"* | *"No such file or directory"*) echo down ;;
    "Could not connect"*) if [ -n "$down" ]; then echo down; else echo "$answer"; fi ;;
    *) echo "$answer" ;;
  esac
}

# Clients besides this one and replicas: address, name, last command.
connected() {
  ask CLIENT LIST TYPE normal | tr -d '\r' |
    sed -n '/ cmd=client|list /d; s/^.* addr=\([^ ]*\) .* name=\([^ ]*\) .* cmd=\([^ ]*\) .*$/  \1 \2 \3/p'
}

# Unpacks the archive into $stage, once every checksum holds.
open_archive() {
  [ -f "$archive" ] || {
    say "no such archive: $archive"
    exit 2
  }
  archive=$(realpath "$archive")
  if [ -f "$archive.sha256" ] && ! (cd "$(dirname "$archive")" && sha256sum --quiet --strict -c "$archive.sha256" >&2); then
    refuse "$archive is damaged: it is not what its .sha256 says"
  fi
  if ! tar -C "$stage" --no-same-owner -xzf "$archive" 2>/dev/null || ! [ -f "$stage/MANIFEST" ]; then
    refuse "$archive is damaged, or no archive of backup.sh"
  fi
  if ! (cd "$stage" && sha256sum --quiet --strict -c MANIFEST >&2); then
    refuse "$archive is damaged: its files are not what its MANIFEST says"
  fi
  if ! grep -q '^# windlass backup, format 1$' "$stage/MANIFEST" || ! [ -f "$stage/$snapshot" ]; then
    refuse "$archive has no $snapshot that this script can read"
  fi
  grep '^# ' "$stage/MANIFEST" | sed 's/^# /  /' >&2
}

# A fact of the snapshot: fact layout
fact() { sed -n "s/^# redis: $snapshot .*\b$1=\([^ ]*\).*$/\1/p" "$stage/MANIFEST"; }

confirm() {
  local answer
  if [ -n "$yes" ]; then return; fi
  printf '%s Type yes: ' "$1" >&2
  read -r answer || answer=
  [ "$answer" = yes ] || refuse "nothing was done"
}

# Leaves Redis down, or ends here.
take_down() {
  local state who
  state=$(redis_state)
  case $state in
    down) ;;
    up)
      who=$(connected)
      if [ -n "$who" ] && [ -z "$force" ]; then
        printf '%s\n' "$who" >&2
        refuse "these are connected to Redis: stop the API and the workers, or say --force"
      fi
      [ -n "$stop_with" ] || refuse "Redis runs: stop it (systemctl stop redis-server), or say how with --stop-with"
      ;;
    *)
      say "whether Redis runs cannot be told (--down if you know that it does not): $state"
      exit 5
      ;;
  esac
  confirm "The data in $data is put aside and replaced."
  if [ "$state" = up ]; then
    say "stopping Redis: $stop_with"
    bash -c "$stop_with" >&2
    wait_until down
  fi
  # REDIS_URL may name another server than the one that has this folder.
  local cwd
  for cwd in /proc/[0-9]*/cwd; do
    if [ "$(readlink "$cwd" 2>/dev/null)" = "$data" ] &&
      grep -qE 'redis-server|valkey-server' "${cwd%/cwd}/comm" 2>/dev/null; then
      refuse "a server still runs in $data (process $(basename "${cwd%/cwd}"))"
    fi
  done
}

wait_until() {
  local started=$SECONDS
  until [ "$(redis_state)" = "$1" ] && { [ "$1" = down ] || [ "$(info persistence loading)" = 0 ]; }; do
    if [ $((SECONDS - started)) -gt 600 ]; then
      say "Redis is not $1 after ten minutes"
      exit 5
    fi
    sleep 0.2
  done
}

# All that is in the data folder, but the identity of a cluster's server and what was put aside before, into $1.
put_aside() {
  local entry
  mkdir -m 0700 "$data/$1"
  for entry in "$data"/* "$data"/.[!.]*; do
    case ${entry##*/} in
      before-restore-* | .restoring.* | nodes*.conf | lost+found | '*' | '.[!.]*') ;;
      *) mv "$entry" "$data/$1/" ;;
    esac
  done
  chown --reference="$data" "$data/$1" 2>/dev/null || true
  say "what was there is in $data/$1"
}

# The snapshot for either way that Redis may start: as the base of an append-only file, or alone. Behind the base one
# command takes the epoch away, before anybody can connect; the first process to come gives a new one. Made beside what is
# there, which is not touched before this is whole: a disk may be full.
prepare() {
  local base="$append_file.1.base.rdb" log="$append_file.1.incr.aof"
  ready=$(mktemp -d "$data/.restoring.XXXXXX")
  mkdir "$ready/$append_dir"
  if ! cp "$stage/$snapshot" "$ready/$append_dir/$base"; then refuse "no room for $snapshot in $data; nothing was changed"; fi
  ln "$ready/$append_dir/$base" "$ready/$db_file" 2>/dev/null || cp "$stage/$snapshot" "$ready/$db_file"
  {
    wire SELECT "$(fact database)"
    wire DEL "${epochs[@]}"
  } >"$ready/$append_dir/$log"
  printf 'file %s seq 1 type b\nfile %s seq 1 type i\n' "$base" "$log" >"$ready/$append_dir/$append_file.manifest"
  chown -R --reference="$data" "$ready/$append_dir" "$ready/$db_file" 2>/dev/null || true
}

put_in_place() {
  mv "$ready/$append_dir" "$ready/$db_file" "$data/"
}

# Whatever ends it: says whether the data were touched, and leaves no part of a restore.
leave() {
  local code=$?
  rm -rf "$stage" ${ready:+"$ready"}
  if [ -n "$moving" ]; then
    say "interrupted while files were moved: do not start Redis; take back what was there by"
    say "  restore.sh --data-dir $data --back $stamp"
  fi
  exit "$code"
}

# There are 64 shards at most, and which of them this server had, its snapshot knows.
epochs=(ai:epoch)
for ((shard = 0; shard < 64; shard++)); do epochs+=("{ai:$shard}:epoch"); done

# The same for a Redis that was started without an append-only file, and so read the snapshot alone.
forget_epochs() {
  local key
  if [ "$(info persistence aof_enabled)" = 1 ]; then return; fi
  # One by one: in a cluster most belong to other servers.
  for key in "${epochs[@]}"; do ask DEL "$key" >/dev/null 2>&1 || true; done
}

# A command as it stands in an append-only file.
wire() {
  local word
  printf '*%d\r\n' $#
  for word in "$@"; do printf '$%d\r\n%s\r\n' ${#word} "$word"; done
}

# Whether the Redis that runs has what the archive has.
health() {
  local found expected layout bad='' code
  wait_until up
  expected=$(fact keys) found=$(ask DBSIZE)
  layout=$(ask GET ai:layout 2>/dev/null || ask GET '{ai:0}:layout' 2>/dev/null || true)
  say "Redis is up: $found keys, $expected in the archive (keys with an end may be gone); layout ${layout:--}"
  if [ "$expected" -gt 0 ] && [ "$found" -eq 0 ]; then bad="it is empty: it did not load $snapshot"; fi
  if [ "$(fact layout)" != "${layout:--}" ]; then bad="its layout is not $(fact layout)"; fi
  if [ "$(info replication role)" != master ]; then bad="it is a replica"; fi
  if [ "$(info persistence aof_enabled)" != 1 ]; then say "the append-only file is off: CONFIG SET appendonly yes"; fi
  if [ "$(info memory maxmemory_policy)" != noeviction ]; then bad="maxmemory-policy is not noeviction"; fi
  if [ -n "$bad" ]; then
    say "not well: $bad"
    exit 1
  fi
  if [ -n "${WINDLASS_URL-}" ]; then
    code=$(curl -s -o /dev/null -m 10 -w '%{http_code}' "$WINDLASS_URL/ready" || true)
    say "$WINDLASS_URL/ready answers $code"
  fi
  say "well"
}

restore_others() {
  if [ -n "$config_to" ]; then
    mkdir -p "$config_to"
    cp -r "$stage/config/." "$config_to/"
    say "the configuration is in $config_to; compare it and copy what you need"
  fi
  if [ -n "$with_postgres" ]; then
    [ -f "$stage/action_audit.sql" ] || refuse "the archive has nothing of Postgres"
    [ -n "${DATABASE_URL-}" ] || refuse "DATABASE_URL is not set"
    postgres_link
    psql -q -X --single-transaction -v ON_ERROR_STOP=1 -f "$stage/action_audit.sql" -d "$postgres" >/dev/null ||
      refuse "Postgres took nothing of it; a table action_audit that is there has to be renamed first"
    say "action_audit is loaded"
  fi
}

start() {
  if [ -z "$start_with" ]; then
    say "start Redis now, then compare: restore.sh --check ${archive:-ARCHIVE}"
    exit 0
  fi
  say "starting Redis: $start_with"
  bash -c "$start_with" >&2
  wait_until up
}

umask 077
ready='' moving=''
stage=$(mktemp -d)
trap leave EXIT
trap 'exit 1' INT TERM HUP
redis_link || exit $?
stamp=before-restore-$(date -u +%Y%m%dT%H%M%SZ)
if [ -z "$check" ]; then
  [ -n "$data" ] || usage
  data=$(realpath "$data")
  [ -d "$data" ] || refuse "no folder $data"
  while [ -e "$data/$stamp" ]; do stamp+=x; done
fi

if [ -n "$back" ]; then
  from=${archive:-$(cd "$data" && find . -maxdepth 1 -name 'before-restore-*' | sort | tail -n 1)}
  from=$data/$(basename "${from:-none}")
  [ -d "$from" ] || refuse "nothing was put aside in $data"
  take_down
  moving=1
  put_aside "$stamp"
  find "$from" -mindepth 1 -maxdepth 1 -exec mv {} "$data/" \;
  rmdir "$from"
  moving=''
  say "back to what was there before"
  start
  say "Redis is up: $(ask DBSIZE) keys"
  exit 0
fi

[ -n "$archive" ] || usage
open_archive
if [ -n "$check" ]; then
  health
  exit 0
fi
take_down
restore_others
prepare
moving=1
put_aside "$stamp"
put_in_place
moving=
start
forget_epochs
health
say "now start the API and the workers; to go back: restore.sh --data-dir $data --back $stamp"
