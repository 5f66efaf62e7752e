#!/usr/bin/env bash
# Prints a folder with `caddy` and `nginx` in it: those of the PATH, or of the package registry, unpacked under
# target/proxies and not installed, since their packages would start servers on port 80.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'proxies: %s\n' "$*" >&2; }

folder=$PWD/target/proxies
mkdir -p "$folder/bin"
missing=()
for name in caddy nginx; do
  if [ -x "$folder/bin/$name" ]; then continue; fi
  if found=$(command -v "$name" || PATH=/usr/sbin:/usr/local/sbin command -v "$name"); then
    ln -sfn "$found" "$folder/bin/$name"
  else
    missing+=("$name")
  fi
done

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    say "needed on the PATH: ${missing[*]}; the package manager of this system has them under these names"
    exit 1
  fi
  say "unpacking ${missing[*]} from the package registry into target/proxies"
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,unpacked}
  private=(-o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o APT::Sandbox::User=root)
  apt-get "${private[@]}" update -qq >&2 || say "apt-get update failed; going on with what came"
  (cd "$folder" && apt-get "${private[@]}" -qq download "${missing[@]}" >&2)
  for package in "$folder"/*.deb; do
    dpkg-deb -x "$package" "$folder/unpacked"
  done
  for name in "${missing[@]}"; do
    for place in usr/bin usr/sbin; do
      if [ -x "$folder/unpacked/$place/$name" ]; then ln -sfn "../unpacked/$place/$name" "$folder/bin/$name"; fi
    done
  done
fi
"$folder/bin/nginx" -v >&2
say "caddy $("$folder/bin/caddy" version)"
echo "$folder/bin"
