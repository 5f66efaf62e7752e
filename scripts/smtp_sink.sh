#!/usr/bin/env bash
# Puts aiosmtpd, a mail server that keeps what it is sent, from PyPI into target/smtp-sink, at the versions of
# scripts/smtp-sink-requirements.txt. Does nothing that is done already. Prints the path of its program.
set -euo pipefail

say() { printf 'smtp-sink: %s\n' "$*" >&2; }

root=$(cd "$(dirname "$0")/.." && pwd)
wanted=$root/scripts/smtp-sink-requirements.txt
target=$root/target/smtp-sink

if ! cmp -s "$wanted" "$target/installed"; then
  "$root/scripts/install-deps.sh" python
  say "aiosmtpd, from PyPI, into target/smtp-sink (28 MB)"
  python3 -m venv --clear "$target"
  "$target/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
  cp "$wanted" "$target/installed"
fi
printf '%s\n' "$target/bin/aiosmtpd"
