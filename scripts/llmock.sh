#!/usr/bin/env bash
# Puts llmock, a server that makes faults of LLM providers and judges how its client takes them, from PyPI into
# target/llmock, at the versions of scripts/llmock-requirements.txt. Does nothing that is done already. Prints the
# path of its program.
set -euo pipefail

say() { printf 'llmock: %s\n' "$*" >&2; }

root=$(cd "$(dirname "$0")/.." && pwd)
wanted=$root/scripts/llmock-requirements.txt
target=$root/target/llmock

if ! cmp -s "$wanted" "$target/installed"; then
  "$root/scripts/install-deps.sh" python
  say "llmock, from PyPI, into target/llmock (84 MB)"
  python3 -m venv --clear "$target"
  "$target/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
  cp "$wanted" "$target/installed"
fi
printf '%s\n' "$target/bin/llmock"
