#!/usr/bin/env bash
# Puts a tool from PyPI into target/<name>, at the versions of scripts/<name>-requirements.txt, and prints the folder of its
# programs: scripts/python_tools.sh <name> <what it is, and how large>. Does nothing that is done already.
set -euo pipefail

name=$1 what=$2
root=$(cd "$(dirname "$0")/.." && pwd)
wanted=$root/scripts/$name-requirements.txt
target=$root/target/$name

if ! cmp -s "$wanted" "$target/installed"; then
  "$root/scripts/install-deps.sh" python
  printf '%s: %s, from PyPI, into target/%s\n' "$name" "$what" "$name" >&2
  python3 -m venv --clear "$target"
  "$target/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
  cp "$wanted" "$target/installed"
fi
printf '%s\n' "$target/bin"
