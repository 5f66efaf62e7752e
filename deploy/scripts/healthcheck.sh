#!/usr/bin/env bash
# The HEALTHCHECK of the image: 0 if the process of this container says at /ready that jobs may be accepted and run.
# An API is asked on PORT, a worker on WORKER_PORT; whichever is open. The image has no curl.
set -euo pipefail

for port in "${PORT:-8000}" "${WORKER_PORT:-8001}"; do
  if exec 3<>"/dev/tcp/127.0.0.1/$port"; then
    printf 'GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
    read -r -t 4 _ code _ <&3
    echo "/ready on port $port: $code"
    [ "$code" = 200 ]
    exit
  fi 2>/dev/null
done
echo "nobody listens on ${PORT:-8000} or ${WORKER_PORT:-8001}"
exit 1
