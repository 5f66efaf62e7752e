#!/usr/bin/env bash
# Puts what `make bench-peers` compares with into target/peers: packages from npm, crates.io and
# PyPI, at the versions that benches/peers names. Does nothing that is done already.
set -euo pipefail

say() { printf 'install-peers: %s\n' "$*" >&2; }

root=$(cd "$(dirname "$0")/.." && pwd)
source=$root/benches/peers
target=$root/target/peers

for need in node npm python3 cargo; do
  if ! command -v "$need" >/dev/null 2>&1; then
    say "'$need' is needed: Node.js 18 or later, Python 3.9 or later with venv, Rust"
    exit 1
  fi
done

# Whether $2 was installed from the $1 of today.
current() { cmp -s "$1" "$2"; }

mkdir -p "$target/node"
if ! current "$source/node/package-lock.json" "$target/node/installed"; then
  say "BullMQ, from npm"
  cp "$source/node/package.json" "$source/node/package-lock.json" "$target/node/"
  # Not `npm ci`: it refuses a lockfile without the optional builds for other platforms.
  (cd "$target/node" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  cp "$source/node/package-lock.json" "$target/node/installed"
fi

if ! current "$source/python/requirements.txt" "$target/python/installed"; then
  say "Dramatiq, from PyPI"
  python3 -m venv "$target/python"
  "$target/python/bin/pip" install --quiet --disable-pip-version-check -r "$source/python/requirements.txt" >&2
  cp "$source/python/requirements.txt" "$target/python/installed"
fi

say "apalis-redis and rusty-sidekiq, from crates.io"
cargo build --quiet --release --locked --manifest-path "$source/rust/Cargo.toml" --target-dir "$target/rust"
