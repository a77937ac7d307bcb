#!/bin/sh
# Builds the image, dlsort, from docker/wheels and without network, on a base that is there.
#
#   docker/image.sh BASE [TAG...]      docker/image.sh dlsort-base:3.11
#
# The stage of the dependencies has a name, dlsort-dependencies: it is what the next build starts
# from. An image that loses its last name by this is removed, so none piles up; whoever needs it
# on gives it a TAG of their own.
set -eu

if [ $# -lt 1 ]; then
    echo "usage: docker/image.sh BASE [TAG...]   (such as: docker/image.sh dlsort-base:3.11)" >&2
    exit 2
fi
base=$1
shift
folder=$(dirname "$0")

build() {
    name=$1
    shift
    before=$(docker images --quiet --no-trunc "$name:latest")
    docker build --quiet --network none --file "$folder/Dockerfile" --build-arg "BASE=$base" \
        --tag "$name" "$@" "$folder/.."
    nameless=$(docker images --quiet --no-trunc --filter dangling=true)
    if [ -n "$before" ] && echo "$nameless" | grep -qx "$before"; then
        # One that a container runs stays.
        docker rmi "$before" >/dev/null 2>&1 || true
    fi
}

for tag in "$@"; do
    shift
    set -- "$@" --tag "$tag"
done
build dlsort-dependencies --target dependencies >/dev/null
build dlsort "$@"
