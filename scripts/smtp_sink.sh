#!/usr/bin/env bash
# Installs aiosmtpd, a mail server that keeps what it is sent; prints its path.
set -euo pipefail
folder=$("$(dirname "$0")/python_tools.sh" smtp-sink "aiosmtpd (28 MB)")
printf '%s\n' "$folder/aiosmtpd"
