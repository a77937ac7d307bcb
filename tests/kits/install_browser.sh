#!/usr/bin/env bash
# Installs what looks at the dashboard in the tests, where Debian's packages can be had; else those
# tests are skipped.
set -euo pipefail
command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0
[ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || exit 0
export DEBIAN_FRONTEND=noninteractive
{
    apt-get update --quiet=2 &&
        apt-get install --quiet=2 --yes --no-install-recommends chromium chromium-driver
} >/dev/null 2>&1 || echo "no browser could be installed: tests of the dashboard's page are skipped" >&2
