#!/bin/sh
# abort.sh <program> <mpiexec command...>: a rank that aborts ends all ranks, within the time
# limit, with the exit code of its error and one line of ours.
program=$1
shift
output=$("$@" "$program" 2>&1)
code=$?
lines=$(printf '%s\n' "$output" | grep -c '^testudo: ')
named=$(printf '%s\n' "$output" | grep -c 'train.lr is -1')
if [ "$code" -ne 2 ] || [ "$lines" -ne 1 ] || [ "$named" -ne 1 ]; then
    printf 'exit code %s (2 expected), %s lines (1 expected):\n%s\n' "$code" "$lines" "$output"
    exit 1
fi
