#!/bin/sh
# Runs Docker Compose on compose.yaml, as the plugin (docker compose) or as the program of
# old (docker-compose). Root on Debian or Ubuntu gets it installed where neither is there.
#
#   docker/compose.sh up --detach
set -eu

file=$(dirname "$0")/compose.yaml

find_compose() {
    if docker compose version >/dev/null 2>&1; then
        compose="docker compose"
    elif docker-compose version >/dev/null 2>&1; then
        compose=docker-compose
    else
        return 1
    fi
}

if ! find_compose; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "docker/compose.sh: Docker Compose is not installed. Install it: the package docker-compose-plugin of Docker's repository, docker-compose of Debian, or docker-compose-v2 of Ubuntu." >&2
        exit 1
    fi
    echo "== cluster: installing docker-compose" >&2
    apt-get update --quiet=2 >&2
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends docker-compose >&2
    find_compose
fi
# The name is of all checkouts: there is one image, and one dashboard port.
exec $compose --project-name dlsort --file "$file" "$@"
