#!/usr/bin/env bash
# Installs llmock, a server that makes faults of LLM providers and judges how its client takes them; prints its path.
set -euo pipefail
folder=$("$(dirname "$0")/python_tools.sh" llmock "llmock (84 MB)")
printf '%s\n' "$folder/llmock"
