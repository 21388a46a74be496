#!/usr/bin/env bash
# What uneven ranks cost a certification: two ranks, one of them slowed four times (run.slow_rank).
#   tests/bench/slow_rank.sh [testudo] [rounds] [images] [ranks]
# In turns, on the same images: one job of two ranks, which lease blocks of draws; and static splitting, two
# jobs of one rank at the same time with half of the work each, where the slower one says when both are
# through. Ideal is the sum of what each rank draws a second while it draws, in the same run.
# Prints, medians of the rounds: samples a second, and the share of the ideal rate, of both ways.
# Last, so many ranks on this machine against one: certificates.h5 must be the same.
set -euo pipefail
testudo=$(realpath "${1:-build/release/testudo}") rounds=${2:-5} images=${3:-40} ranks=${4:-64}
export OMP_NUM_THREADS=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# certify <directory> <images> <ranks> <arguments...>: anew. Where processes run is left to the system.
certify() {
    local launch=(mpirun -n "$3" --oversubscribe --bind-to none)
    [[ $3 -gt 1 ]] || launch=()
    rm -rf "$1"
    "${launch[@]}" "$testudo" certify run.dir="$1" data.file=g.h5 model.file=net/model.safetensors \
        certify.sigma=0.25 certify.n=10000 certify.max="$2" "${@:4}" > "$1.out" 2>&1
}

# note <directory> <key>: a number of its run.json.
note() {
    sed -n 's/.*"'"$2"'": *\([0-9.e+]*\).*/\1/p' "$1/run.json"
}

"$testudo" import import.format=glyphs import.out=g.h5 import.train=256 import.test="$images" > out 2>&1
"$testudo" train run.dir=net data.file=g.h5 model.name=lenet train.steps=4 train.batch=64 > out 2>&1
for ((i = 0; i < rounds; i++)); do
    certify leased "$images" 2 run.slow_rank=1
    certify fast $((images / 2)) 1 &
    certify slow $((images / 2)) 1 run.slow_rank=0
    wait
    echo "$(note leased samples_per_second) $(note leased samples_per_second_ideal)" >> leases
    echo "$(note fast samples_per_second) $(note slow samples_per_second)" |
        awk '{ print 2 * ($1 < $2 ? $1 : $2), $1 + $2 }' >> static
done
for way in leases static; do
    echo "$way: $(cut -d ' ' -f 1 $way | median) samples/s," \
        "share of the ideal rate $(awk '{ print $1 / $2 }' $way | median)"
done
certify few 4 1
certify many 4 "$ranks"
cmp few/certificates.h5 many/certificates.h5
echo "$ranks ranks: the certificates of one"
