#!/usr/bin/env bash
# Installs what `make demo` and `make test` need:
# scripts/install-deps.sh redis [promtool] [alertmanager] [faketime] [python] [systemd] [curl] [jq] [openssl]
# Says first what it will install. Does nothing when everything is there. On a machine without
# apt-get it prints the line to type and fails.
set -euo pipefail

say() { printf 'install-deps: %s\n' "$*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

# The server that Windlass would start, in its order of preference; empty without one.
redis_server() {
  local name
  for name in valkey-server redis-server; do
    if have "$name"; then
      printf '%s\n' "$name"
      return
    fi
  done
}

# Debian calls it prometheus-alertmanager.
alertmanager_server() {
  local name
  for name in alertmanager prometheus-alertmanager; do
    if have "$name"; then
      printf '%s\n' "$name"
      return
    fi
  done
}

# Scripts carry flags that came with Redis 7.0 and Valkey 7.2.
check_redis_version() {
  local server version
  server=$(redis_server)
  version=$("$server" --version | sed -n 's/.* v=\([0-9.]*\).*/\1/p')
  if [ "${version%%.*}" -ge 7 ] 2>/dev/null; then
    return
  fi
  say "$server is version ${version:-unknown}; Windlass needs Redis >= 7.0 or Valkey >= 7.2."
  if have apt-get; then
    say "This release's package is too old. Add the repository of Redis, then run make again:"
    cat >&2 <<'LINES'
  curl -fsSL https://packages.redis.io/gpg | sudo gpg --dearmor -o /usr/share/keyrings/redis-archive-keyring.gpg
  echo "deb [signed-by=/usr/share/keyrings/redis-archive-keyring.gpg] https://packages.redis.io/deb $(. /etc/os-release && echo "$VERSION_CODENAME") main" | sudo tee /etc/apt/sources.list.d/redis.list
  sudo apt-get update && sudo apt-get install redis-server
LINES
  fi
  exit 1
}

missing=()
wants_faketime=
for need in "$@"; do
  case $need in
    redis) [ -n "$(redis_server)" ] || missing+=(redis) ;;
    promtool) { have promtool && have prometheus; } || missing+=(promtool) ;;
    alertmanager) { [ -n "$(alertmanager_server)" ] && have amtool; } || missing+=(alertmanager) ;;
    faketime) have faketime || wants_faketime=1 ;;
    # Debian's python3 comes without what `python3 -m venv` needs.
    python) python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python) ;;
    systemd) have systemd-analyze || missing+=(systemd) ;;
    # What commands of the runbook are made of. Their packages have their names everywhere.
    curl | jq | openssl) have "$need" || missing+=("$need") ;;
    *)
      say "unknown need '$need' (redis, promtool, alertmanager, faketime, python, systemd, curl, jq, openssl)"
      exit 2
      ;;
  esac
done

tools() {
  local tool
  for tool in curl jq openssl; do
    if wants "$tool"; then printf '%s\n' "$tool"; fi
  done
}

wants() { [[ " ${missing[*]-} " == *" $1 "* ]]; }

POLICY=/usr/sbin/policy-rc.d

apt_install() {
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    sudo=(sudo)
    # Without a terminal a password question would hang.
    if [ ! -t 0 ]; then sudo=(sudo -n); fi
  fi
  # Debian's packages start the servers that they bring. Tests run private copies, so nothing is started: see
  # invoke-rc.d(8). A policy that is there already stays.
  if [ ! -e "$POLICY" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$POLICY" >/dev/null
    "${sudo[@]}" chmod 755 "$POLICY"
    # shellcheck disable=SC2064 # The words of now are meant.
    trap "${sudo[*]} rm -f $POLICY" EXIT
  fi
  # A stale or partly unreachable list need not matter: the install below tells.
  "${sudo[@]}" apt-get update -qq </dev/null >&2 || say "apt-get update failed; going on with the lists at hand"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}

# The line to type for a package manager: the package names of redis, promtool, Alertmanager and Python.
line_for() {
  local packages=() tool
  if wants redis; then packages+=("$2"); fi
  if wants promtool; then packages+=("$3"); fi
  if wants alertmanager; then packages+=("$4"); fi
  if wants python; then packages+=("$5"); fi
  while IFS= read -r tool; do packages+=("$tool"); done < <(tools)
  say "Type this, then run make again:"
  printf '  %s %s\n' "$1" "${packages[*]}" >&2
}

elsewhere() {
  say "needed and not found: ${missing[*]}"
  if have brew; then
    line_for "brew install" redis prometheus alertmanager python
  elif have dnf; then
    line_for "sudo dnf install" valkey golang-github-prometheus golang-github-prometheus-alertmanager python3
  elif have pacman; then
    line_for "sudo pacman -S" valkey prometheus alertmanager python
  elif have apk; then
    line_for "sudo apk add" redis prometheus alertmanager python3
  else
    say "Install redis-server >= 7.0 (https://redis.io/docs/latest/operate/oss_and_stack/install/)"
    if wants promtool; then say "and prometheus with promtool (https://prometheus.io/download/)"; fi
    if wants alertmanager; then say "and alertmanager with amtool (https://prometheus.io/download/)"; fi
    if wants systemd; then say "and systemd-analyze, which comes with systemd, on Linux only"; fi
    if [ -n "$(tools)" ]; then say "and $(tools | tr '\n' ' ')"; fi
    if wants python; then say "and Python >= 3.10 with venv (https://www.python.org/downloads/)"; fi
    say "so that they are on the PATH, then run make again."
  fi
  exit 1
}

if [ ${#missing[@]} -gt 0 ]; then
  have apt-get || elsewhere
  packages=()
  if wants redis; then packages+=(redis-server); fi
  if wants promtool; then packages+=(prometheus); fi
  if wants alertmanager; then packages+=(prometheus-alertmanager); fi
  if wants python; then packages+=(python3-venv); fi
  if wants systemd; then packages+=(systemd); fi
  while IFS= read -r tool; do packages+=("$tool"); done < <(tools)
  say "will install with apt-get: ${packages[*]}"
  if wants redis; then
    say "  redis-server: Windlass runs private copies of it and leaves any other Redis alone"
  fi
  if wants promtool; then
    say "  prometheus: promtool tests the alert rules, and tests run private copies of the server"
  fi
  if wants alertmanager; then
    say "  prometheus-alertmanager: amtool checks its settings, and a test runs a private copy"
  fi
  if wants python; then
    say "  python3-venv: for llmock, the outside judge of LLM calls"
  fi
  if wants systemd; then
    say "  systemd: only its systemd-analyze is used, to judge the units; nothing is started"
  fi
  if [ -n "$(tools)" ]; then
    say "  $(tools | paste -sd ' '): for the commands of the runbook, which a test runs"
  fi
  if [ "$(id -u)" -ne 0 ] && ! have sudo; then
    say "not root, and no sudo. Type this as root, then run make again:"
    printf '  apt-get update && apt-get install -y --no-install-recommends %s\n' "${packages[*]}" >&2
    exit 1
  fi
  apt_install "${packages[@]}"
fi

# Only one fault of a chaos run needs it, and is left out without it.
if [ -n "$wants_faketime" ]; then
  if have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; }; then
    say "will install with apt-get: faketime, which gives one worker of a chaos run a wrong clock"
    apt_install faketime || say "no faketime; chaos runs leave out the wrong clock"
  else
    say "no faketime (package libfaketime); chaos runs leave out the wrong clock"
  fi
fi

if [[ " $* " == *" redis "* ]]; then
  check_redis_version
fi
