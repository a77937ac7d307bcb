#!/bin/sh
# Makes the base image: the least Debian with Python and its venv module.
#
#   docker/base.sh VERSION TAG      docker/base.sh 3.11 dlsort-base:3.11
#
# An image of that tag is left as it is. Else the public image of that Python is taken, where
# one can be pulled; where none can, the Debian release that has this Python is installed into
# a folder (as root, from the mirror that apt uses here) and imported.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: docker/base.sh VERSION TAG   (such as: docker/base.sh 3.11 dlsort-base:3.11)" >&2
    exit 2
fi
version=$1
tag=$2

fail() {
    echo "docker/base.sh: $*" >&2
    exit 1
}

if docker image inspect "$tag" >/dev/null 2>&1; then
    exit 0
fi
docker info >/dev/null 2>&1 ||
    fail "no Docker engine answers. Start one, and be a user who may use it (docker info tells)."

public=python:$version-slim
if docker image inspect "$public" >/dev/null 2>&1 || docker pull --quiet "$public" >/dev/null 2>&1; then
    echo "== base: $tag is $public"
    docker tag "$public" "$tag"
    exit 0
fi

case $version in
    3.11) release=bookworm ;;
    3.13) release=trixie ;;
    *) fail "$public can't be pulled, and no Debian release has Python $version (bookworm has 3.11, trixie 3.13). Pull or import an image with Python $version and its venv module, and tag it $tag." ;;
esac
[ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null ||
    fail "$public can't be pulled, and a base can only be made by root on Debian or Ubuntu. Pull or import an image with Python $version and its venv module, and tag it $tag."

echo "== base: $public can't be pulled; making $tag of Debian $release (once; a minute or two)"
apt-get update --quiet=2
if ! command -v debootstrap >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends debootstrap >/dev/null
fi

# What apt uses on this machine is reachable from it; nothing else may be.
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | head -n 1)
[ -n "$mirror" ] ||
    fail "apt has no Debian mirror here (apt-get indextargets tells). Add one to /etc/apt, or tag an image with Python $version and its venv module $tag."
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
for proxy in http_proxy https_proxy; do
    if eval "[ -n \"\${$proxy:-}\" ]"; then export "$proxy"; fi
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/dlsort-base.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$release" "$folder/root" "$mirror" \
    >"$folder/log" 2>&1 || { tail -n 20 "$folder/log" >&2; fail "debootstrap failed; its last lines are above."; }

# Package lists, archives and manuals are no use in an image.
rm -rf "$folder"/root/var/lib/apt/lists/* "$folder"/root/var/cache/apt/* "$folder"/root/var/log/* \
    "$folder"/root/usr/share/doc "$folder"/root/usr/share/man "$folder"/root/usr/share/locale
tar --create --numeric-owner --directory="$folder/root" . | docker import --change 'CMD ["python3"]' - "$tag" >/dev/null
echo "== base: $tag is made"
