#!/usr/bin/env bash
# What noise costs a forward pass: with it against without it, in turns on one core, and the median of
# the ratios of neighbours.
#   tests/bench/noise_cost.sh [testudo] [rounds] [seconds]
# input: noise on pixels as certify draws it (rounded, sigma 0.25), against none; at most 5 %.
# rse:   noise in front of every convolution, against none, both with noise on pixels off: at most 15 %
#        for vgg16; 35 % is aimed at for resnet20.
# Prints a line for each: images a second with and without, and the median cost in percent.
set -euo pipefail
testudo=${1:-build/release/testudo} rounds=${2:-7} seconds=${3:-2}
export OMP_NUM_THREADS=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# rate <what> <arguments...>: images a second.
rate() {
    taskset -c 0 "$testudo" bench bench.what="$1" bench.seconds="$seconds" model.input=32,32,3 \
        "${@:2}" | awk -v what="$1" '$1 == what { print $2 }'
}

median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# compare <title> <what without> <what with> <model> <arguments with...>
compare() {
    local title=$1 without=$2 with=$3 model=$4 i
    shift 4
    for ((i = 0; i < rounds; i++)); do
        echo "$(rate "$with" model.name="$model" "$@") $(rate "$without" model.name="$model")"
    done > "$scratch/pairs"
    printf '%s: %.0f images/s with noise, %.0f without, cost %.1f %%\n' "$title" \
        "$(cut -d' ' -f1 "$scratch/pairs" | median)" "$(cut -d' ' -f2 "$scratch/pairs" | median)" \
        "$(awk '{ print 100 * ($2 / $1 - 1) }' "$scratch/pairs" | median)"
}

for model in resnet20 vgg16; do
    compare "input $model" forward certify $model
done
for model in vgg16 resnet20; do
    compare "rse $model" forward forward $model defense=rse
done
