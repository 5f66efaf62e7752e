#!/usr/bin/env bash
# Backs up what cannot be made again: Redis (a file per primary), configuration, and the table action_audit of Postgres.
#
#   REDIS_URL=redis://default:password@host:6379 deploy/scripts/backup.sh [FOLDER]
#
# Leaves FOLDER/windlass-<UTC time>.tar.gz (mode 0600), its SHA-256 beside it, and the link `latest.tar.gz`. Deletes
# archives older than BACKUP_KEEP_DAYS. Redis may be anywhere: the data comes over the connection (`redis-cli --rdb`),
# after a BGSAVE that leaves the same on the server's own disk and proves that the server can write.
#
#   REDIS_URL, REDIS_URL_FILE   as for Windlass; of a cluster every primary is saved, by Sentinel the present one
#   BACKUP_DIR                  FOLDER, by default /var/backups/windlass
#   BACKUP_KEEP_DAYS            30
#   BACKUP_CONFIG               files and folders of configuration, separated by blanks; by default /etc/windlass, if there
#   BACKUP_WITH_CREDENTIALS_KEY yes: with CREDENTIALS_KEY, which is left out otherwise, since with it the archive is worth
#                               all credentials of all workspaces
#   BACKUP_BGSAVE               no: without the BGSAVE, where a managed Redis forbids it
#   DATABASE_URL                Postgres; nothing of it is saved without
#   AWS_BUCKET                  also uploads the archive, by `aws s3 cp` with the credentials of the environment
#
# Exit: 0 all of it, 1 something is missing (the archive says what), 2 usage, 5 Redis cannot be reached.
set -euo pipefail

say() { printf 'backup: %s\n' "$*" >&2; }

# shellcheck source-path=SCRIPTDIR source=links.sh
. "$(dirname "${BASH_SOURCE[0]}")/links.sh"

# A bound for the snapshot of the server, in seconds.
bgsave_limit=3600

# A snapshot on the server's disk; LASTSAVE tells when it is there.
snapshot() {
  local before started=$SECONDS
  before=$(ask LASTSAVE)
  # LASTSAVE counts seconds: two snapshots within one look like none.
  while [ "$(ask TIME | head -n 1)" -le "$before" ]; do sleep 0.2; done
  # While the append-only file is rewritten it waits for its turn.
  ask BGSAVE SCHEDULE >/dev/null 2>&1 || [ "$(info persistence rdb_bgsave_in_progress)" = 1 ] || return 1
  while [ "$(ask LASTSAVE)" = "$before" ]; do
    if [ "$(info persistence rdb_bgsave_in_progress)" = 0 ] && [ "$(info persistence rdb_last_bgsave_status)" != ok ]; then
      return 1
    fi
    if [ $((SECONDS - started)) -gt $bgsave_limit ]; then return 1; fi
    sleep 0.2
  done
}

# One primary, $2, into $1; prints the facts that restore.sh compares with.
save_redis() {
  local file=$1 layout
  if [ "$(info replication role)" != master ]; then
    say "${link[*]} is a replica: its data may be old"
    return 1
  fi
  if [ "${BACKUP_BGSAVE-yes}" = yes ] && ! snapshot; then
    say "BGSAVE failed on the server: look at its log and its disk; going on over the connection"
    failed=1
  fi
  if ! redis-cli "${link[@]}" --rdb "$file" >"$stage.log" 2>&1; then
    say "redis-cli --rdb failed: $(tail -n 1 "$stage.log")"
    return 1
  fi
  if [ "$(head -c 5 "$file")" != REDIS ]; then
    say "what came is no snapshot: $(head -c 100 "$file")"
    return 1
  fi
  if command -v "$checker" >/dev/null && ! "$checker" "$file" >"$stage.log" 2>&1; then
    # Older than the server it cannot tell.
    if ! grep -q "handle RDB format version" "$stage.log"; then
      say "$checker refuses $(basename "$file"): $(tail -n 1 "$stage.log")"
      return 1
    fi
    say "$checker is older than the server: $(basename "$file") was not checked"
  fi
  layout=$(ask GET ai:layout 2>/dev/null || ask GET '{ai:0}:layout' 2>/dev/null || true)
  printf '# redis: %s node=%s version=%s lastsave=%s keys=%s layout=%s database=%s\n' "$(basename "$file")" "$2" \
    "$(info server redis_version)" "$(ask LASTSAVE)" "$(ask DBSIZE)" "${layout:--}" "$(link_database)"
}

link_database() {
  local i
  for ((i = 0; i < ${#link[@]}; i++)); do
    if [ "${link[i]}" = -n ]; then
      echo "${link[i + 1]}"
      return
    fi
  done
  echo 0
}

# Copies configuration to $1, without the key that opens stored credentials.
save_config() {
  local from copy
  # shellcheck disable=SC2086  # a list, separated by blanks
  for from in ${BACKUP_CONFIG-/etc/windlass}; do
    if ! [ -e "$from" ]; then
      if [ -n "${BACKUP_CONFIG-}" ]; then
        say "no configuration at $from"
        failed=1
      fi
      continue
    fi
    copy=$1/$(realpath "$from")
    mkdir -p "$(dirname "$copy")"
    cp -rL "$from" "$copy"
  done
  if [ "${BACKUP_WITH_CREDENTIALS_KEY-}" = yes ] || ! [ -d "$1" ]; then return; fi
  find "$1" -type f -iname '*credentials*key*' -delete
  find "$1" -type f -exec sed -i -E \
    -e 's/^([[:space:]]*(export[[:space:]]+)?CREDENTIALS_(KEY|OLD_KEYS)[[:space:]]*=).*/# left out of the backup: \1/' \
    -e '/^\[credentials\]/,/^\[/ s/^([[:space:]]*(key|old_keys)[[:space:]]*=).*/# left out of the backup: \1/' {} +
}

# The audit trail, into $1.
save_postgres() {
  postgres_link
  pg_dump --no-owner --no-privileges -t action_audit -d "$postgres" -f "$1"
}

upload() {
  say "uploading to s3://$AWS_BUCKET"
  aws s3 cp --only-show-errors --sse AES256 "$1" "s3://$AWS_BUCKET/windlass/$(basename "$1")" &&
    aws s3 cp --only-show-errors --sse AES256 "$1.sha256" "s3://$AWS_BUCKET/windlass/$(basename "$1").sha256"
}

if [ $# -gt 1 ] || [[ ${1-} == -* ]]; then
  sed -n '2,/^set /p' "${BASH_SOURCE[0]}" | sed -n 's/^# \{0,1\}//p'
  exit 2
fi
folder=${1:-${BACKUP_DIR:-/var/backups/windlass}}
umask 077
mkdir -p "$folder"
folder=$(realpath "$folder")
exec 9>"$folder/.lock"
if command -v flock >/dev/null && ! flock -n 9; then
  say "another backup into $folder is under way"
  exit 1
fi
# What a killed run has left; by the lock nobody else is in here.
if command -v flock >/dev/null; then rm -rf "$folder"/.staged.* "$folder"/windlass-*.part; fi
stage=$(mktemp -d "$folder/.staged.XXXXXX")
failed='' archive='' whole=''

# No half archive stays behind, and no end is silent.
leave() {
  local code=$?
  rm -rf "$stage" "$stage.log"
  if [ -z "$whole" ]; then
    if [ -n "$archive" ]; then rm -f "$archive.part" "$archive.sha256.part" "$archive" "$archive.sha256"; fi
    say "failed, and left no archive; $(df -Ph "$folder" | awk 'NR == 2 { print $4 }') are free in $folder"
  fi
  exit "$code"
}
trap leave EXIT
trap 'exit 1' INT TERM HUP

redis_link || exit $?
: >"$stage/MANIFEST.head"
number=0
for node in "${nodes[@]}"; do
  number=$((number + 1))
  link_to "$node"
  if ! ask PING >/dev/null; then
    say "no answer from Redis (${node})"
    exit 5
  fi
  save_redis "$stage/redis-$number.rdb" "$node" >>"$stage/MANIFEST.head"
done
save_config "$stage/config"
if [ -n "${DATABASE_URL-}" ] && ! save_postgres "$stage/action_audit.sql"; then
  say "Postgres was not saved"
  rm -f "$stage/action_audit.sql"
  failed=1
fi

stamp=$(date -u +%Y%m%dT%H%M%SZ)
{
  printf '# windlass backup, format 1\n# made: %s\n# topology: %s\n' "$stamp" "$topology"
  if [ -n "$failed" ]; then echo '# incomplete: see the output of backup.sh'; fi
  cat "$stage/MANIFEST.head"
  (cd "$stage" && find . -type f ! -name 'MANIFEST*' -print0 | sort -z | xargs -0 sha256sum)
} >"$stage/MANIFEST"
rm "$stage/MANIFEST.head"

archive=$folder/windlass-$stamp.tar.gz
tar -C "$stage" -czf "$archive.part" .
sum=$(sha256sum <"$archive.part")
printf '%s  %s\n' "${sum%% *}" "$(basename "$archive")" >"$archive.sha256.part"
mv "$archive.sha256.part" "$archive.sha256"
mv "$archive.part" "$archive"
ln -sfn "$(basename "$archive")" "$folder/latest.tar.gz"
whole=1
say "$archive: $number of Redis, $(du -h "$archive" | cut -f 1)"
if [ -n "${AWS_BUCKET-}" ] && ! upload "$archive"; then
  say "not uploaded; the archive is in $folder"
  failed=1
fi
# An archive is deleted only after a newer one is complete.
if [ -z "$failed" ]; then
  find "$folder" -maxdepth 1 -name 'windlass-*.tar.gz*' ! -name "windlass-$stamp.tar.gz*" \
    -mtime "+${BACKUP_KEEP_DAYS:-30}" -print -delete | sed 's/^/backup: deleted /' >&2
fi
if [ -n "$failed" ]; then exit 1; fi
