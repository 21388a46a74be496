#!/usr/bin/env bash
# same_bytes.sh <records> <mpiexec command without -n>...: a checkpoint has the same bytes for any
# number of ranks, at any time.
set -u
records=$1
shift
dir=$(mktemp -d "$PWD/same.XXXXXX")
trap 'rm -rf "$dir"' EXIT
for ranks in 1 2 3 4 1; do
    "$@" -n "$ranks" "$records" save "$dir" || exit 1
    cp "$dir/checkpoint.h5" "$dir/$ranks.h5"
    cmp "$dir/1.h5" "$dir/checkpoint.h5" || exit 1
    sleep 1
done
cmp "$dir/checkpoint.h5" "$dir/checkpoint.1.h5"
! grep -aq -e "$(hostname)" -e "$dir" "$dir/checkpoint.h5"
