#!/bin/sh
# A sort by cron. One at a time: where the one before is still at work, this one leaves it be.
#
#   15 2 * * *  /opt/dlsort/nightly.sh /data/events /data/sorted day >> /var/log/dlsort.jsonl 2>&1
#
# Each line of that log is a JSON object; the exit code is dlsort's (0: done or skipped), or 75
# where another was at work, which cron's mail tells.
set -eu

src=$1 dst=$2 by=$3
lock=${DLSORT_LOCK:-$dst.lock}

exec 9> "$lock"
if ! flock --nonblock 9; then
    echo '{"event": "failed", "error": "AtWork", "message": "another sort is at work", "exit_code": 75}' >&2
    exit 75
fi

# What is done already is skipped; an older result is replaced; what was cut off is gone on with.
# The lock is not handed on (9>&-), so that nothing the sort may leave running holds it.
dlsort sort "$src" "$dst" --by "$by" --if-exists skip --overwrite --resume \
    --log-format json --report "$dst.report.json" 9>&- > /dev/null
