#!/usr/bin/env bash
# Puts LiteLLM's proxy, a second and independent speaker of OpenAI's protocol, into target/litellm and prints the
# path of its program. Large (over 700 MB), so `make test` does without. Does nothing that is done already.
set -euo pipefail

version=1.106.2
say() { printf 'litellm: %s\n' "$*" >&2; }

root=$(cd "$(dirname "$0")/.." && pwd)
target=$root/target/litellm

if ! command -v python3 >/dev/null 2>&1; then
  say "'python3' is needed, 3.9 or later with venv"
  exit 1
fi
if [ "$(cat "$target/installed" 2>/dev/null)" != "$version" ]; then
  say "installing litellm[proxy] $version from PyPI, which takes minutes"
  python3 -m venv "$target"
  "$target/bin/pip" install --quiet --disable-pip-version-check "litellm[proxy]==$version" >&2
  echo "$version" >"$target/installed"
fi
printf '%s\n' "$target/bin/litellm"
