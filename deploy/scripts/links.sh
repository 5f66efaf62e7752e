# shellcheck shell=bash disable=SC2034
# How backup.sh and restore.sh reach Redis and Postgres. REDIS_URL may have every form that Windlass takes. Passwords travel
# in the environment (REDISCLI_AUTH, PGPASSWORD), never as an argument, where every user of the machine could read them.
#
# After redis_link: link (redis-cli's arguments for one server), topology (single, sentinel, cluster), nodes (host:port
# each). After postgres_link: postgres (an address without its password).

link=()
link_common=()
nodes=()
topology=single

checker=redis-check-rdb
# Where only Valkey's tools are.
if ! command -v redis-cli >/dev/null && command -v valkey-cli >/dev/null; then
  checker=valkey-check-rdb
  redis-cli() {
    if [ -n "${REDISCLI_AUTH-}" ]; then export VALKEYCLI_AUTH=$REDISCLI_AUTH; fi
    valkey-cli "$@"
  }
fi

unescape() {
  local text=${1//\\/\\\\}
  printf '%b' "${text//%/\\x}"
}

# The value of a parameter behind the URL's question mark.
url_parameter() {
  local pair
  for pair in ${2//&/ }; do
    if [ "${pair%%=*}" = "$1" ]; then unescape "${pair#*=}"; fi
  done
}

# Reads REDIS_URL, or the file that REDIS_URL_FILE names.
redis_link() {
  local url=${REDIS_URL-} scheme rest query='' user='' servers database common=() pair
  if [ -z "$url" ] && [ -n "${REDIS_URL_FILE-}" ]; then url=$(<"$REDIS_URL_FILE"); fi
  if [ -z "$url" ]; then
    say "REDIS_URL is not set"
    return 2
  fi
  scheme=${url%%://*} rest=${url#*://}
  if [[ $rest == *\?* ]]; then query=${rest#*\?} rest=${rest%%\?*}; fi
  if [[ $rest == *@* ]]; then
    user=${rest%@*} rest=${rest##*@}
    if [[ $user == *:* ]]; then
      REDISCLI_AUTH=$(unescape "${user#*:}")
      export REDISCLI_AUTH
      user=$(unescape "${user%%:*}")
    fi
  fi
  if [ -n "$user" ]; then common+=(--user "$user"); fi
  case $scheme in
    rediss*)
      common+=(--tls)
      if [ -n "${REDIS_CA_FILE-}" ]; then common+=(--cacert "$REDIS_CA_FILE"); fi
      ;;
  esac
  if [ "$scheme" = redis+unix ]; then
    nodes=(unix)
    link=("${common[@]}" -s "$(unescape "$rest")")
    return
  fi
  servers=${rest%%/*} database=
  if [[ $rest == */* ]]; then database=${rest#*/}; fi
  for pair in ${query//&/ }; do
    if [ "${pair%%=*}" = node ]; then servers+=,$(unescape "${pair#*=}"); fi
  done
  case $scheme in
    redis | rediss) nodes=("${servers%%,*}") ;;
    redis-sentinel | rediss-sentinel) topology=sentinel && { sentinel_primary "$servers" "$query" || return; } ;;
    redis-cluster | rediss-cluster) topology=cluster && { cluster_primaries "$servers" "${common[@]}" || return; } ;;
    *)
      say "the scheme '$scheme' of REDIS_URL is not known"
      return 2
      ;;
  esac
  if [ -n "$database" ]; then common+=(-n "$database"); fi
  link_common=("${common[@]}")
  link_to "${nodes[0]}"
}

# Points link to one of nodes.
link_to() {
  local host=${1%:*} port=6379
  if [ "$1" = unix ]; then return; fi
  if [[ $1 == *:* ]]; then port=${1##*:}; fi
  host=${host#\[} host=${host%\]}
  link=("${link_common[@]}" -h "${host:-127.0.0.1}" -p "$port")
}

# Asks the sentinels, one after the other, who the primary is.
sentinel_primary() {
  local server answer name
  name=$(url_parameter sentinelServiceName "$2")
  for server in ${1//,/ }; do
    answer=$(REDISCLI_AUTH=$(url_parameter sentinelPassword "$2") \
      redis-cli --no-auth-warning -h "${server%:*}" -p "${server##*:}" SENTINEL GET-MASTER-ADDR-BY-NAME "$name" 2>/dev/null) ||
      continue
    if [ "$(wc -l <<<"$answer")" -eq 2 ]; then
      nodes=("$(head -n 1 <<<"$answer"):$(tail -n 1 <<<"$answer")")
      return
    fi
  done
  say "no sentinel of REDIS_URL names a primary of '$name'"
  return 5
}

# Every primary that owns slots, as the first server that answers sees it.
cluster_primaries() {
  local server='' table='' arguments=("${@:2}")
  for server in ${1//,/ }; do
    table=$(redis-cli "${arguments[@]}" -h "${server%:*}" -p "${server##*:}" CLUSTER NODES 2>/dev/null) || continue
    if [[ $table == *master* ]]; then break; fi
  done
  # id address@bus[,name] flags master ping pong epoch link slots…; a server that nobody met yet does not know its host.
  mapfile -t nodes < <(awk -v host="${server%:*}" '$3 ~ /master/ && NF > 8 {
    sub(/@.*/, "", $2); print $2 ~ /^:/ ? host $2 : $2 }' <<<"$table" | sort)
  if [ ${#nodes[@]} -eq 0 ]; then
    say "no server of REDIS_URL names the primaries of a cluster"
    return 5
  fi
}

# redis-cli on the server that link points to; an error reply is a failure.
ask() { redis-cli -e "${link[@]}" "$@"; }

# One field of INFO: info persistence rdb_bgsave_in_progress
info() { ask INFO "$1" | tr -d '\r' | sed -n "s/^$2://p"; }

# Reads DATABASE_URL.
postgres_link() {
  local url=$DATABASE_URL rest user
  rest=${url#*://}
  if [[ $rest == *@* ]]; then
    user=${rest%@*}
    if [[ $user == *:* ]]; then
      PGPASSWORD=$(unescape "${user#*:}")
      export PGPASSWORD
      url=${url%%://*}://${user%%:*}@${rest##*@}
    fi
  fi
  postgres=$url
}
