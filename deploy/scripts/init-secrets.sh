#!/usr/bin/env bash
# Makes what compose.yml reads as secrets, in deploy/secrets (or the folder named): random passwords, and the addresses
# that hold them. Leaves every file that exists, so it may be run again. None of it goes into version control.
set -euo pipefail

say() { printf 'init-secrets: %s\n' "$*" >&2; }

folder=${1:-$(dirname "${BASH_SOURCE[0]}")/../secrets}
umask 077
mkdir -p "$folder"
cd "$folder"

# A container's user has to read its file, and compose passes files on with the mode they have: so the files are
# readable, and the folder is not.
chmod 0700 .

put() {
  if [ -e "$1" ]; then return; fi
  printf '%s' "$2" >"$1"
  chmod 0444 "$1"
  say "made $1"
}

random() { head -c 32 /dev/urandom | base64 | tr -d '/+=\n' | head -c 40; }

put redis_password "$(random)"
put redis_url "redis://default:$(<redis_password)@redis:6379"
put redis_exporter.json "{\"redis://redis:6379\": \"$(<redis_password)\"}"
put admin_key "$(random)"
put credentials_key "$(head -c 32 /dev/urandom | base64)"
put grafana_password "$(random)"
put postgres_password "$(random)"
# The address of an incoming webhook of Slack; alerts go nowhere until it is a real one.
put slack_url "https://hooks.slack.invalid/services/replace/this/file"
