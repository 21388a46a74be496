#!/usr/bin/env bash
# What ranks cost each other: two ranks of one job against two single-rank jobs at the same time,
# in turns, each process on a core of its own.
#   tests/bench/two_ranks.sh [testudo] [rounds] [model]
# Prints images a second of both together, the median of the rounds, and the median ratio.
set -euo pipefail
testudo=${1:-build/release/testudo} rounds=${2:-7} model=${3:-resnet20}
export OMP_NUM_THREADS=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# rate <file...>: the sum of what benches of $what printed.
rate() {
    awk -v what="$what" '$1 == what { sum += $2 } END { printf "%.1f\n", sum }' "$@"
}

median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

for what in certify train; do
    bench=(bench bench.what=$what model.name="$model" model.input=32,32,3 bench.seconds=2)
    : > "$scratch/pairs"
    for ((i = 0; i < rounds; i++)); do
        mpirun -n 2 --bind-to core "$testudo" "${bench[@]}" > "$scratch/two"
        taskset -c 0 "$testudo" "${bench[@]}" > "$scratch/a" &
        taskset -c 1 "$testudo" "${bench[@]}" > "$scratch/b"
        wait
        echo "$(rate "$scratch/two") $(rate "$scratch/a" "$scratch/b")" >> "$scratch/pairs"
    done
    echo "$what $model: two ranks $(cut -d' ' -f1 "$scratch/pairs" | median)," \
        "two jobs $(cut -d' ' -f2 "$scratch/pairs" | median) images/s," \
        "ratio $(awk '{ print $1 / $2 }' "$scratch/pairs" | median)"
done
