#!/usr/bin/env bash
# Real MNIST from its four files to certified accuracy: 150 steps of training with noise are
# enough to certify most of 20 test images. Needs TESTUDO_DATA/mnist.
source "$(dirname "$0")/lib.sh"

if [[ -z ${TESTUDO_DATA:-} ]]; then
    echo "SKIPPED: MNIST end to end: TESTUDO_DATA is not set"
    trap - EXIT
    rm -rf "$directory"
    exit 0
fi
limit=600
must_work 1 import import.format=idx import.from="$TESTUDO_DATA/mnist" import.out=mnist.h5
must_work 2 train run.dir=run data.file=mnist.h5 model.name=zcnn train.lr=0.02 train.steps=150 \
    defense=gaussian defense.0.sigma=0.5
must_work 2 certify run.dir=run data.file=mnist.h5 certify.sigma=0.5 certify.n=1000 certify.skip=500
right=$(awk -F '\t' '$5 == 1' run/certify.tsv | wc -l)
echo "$right of 20 certified correctly"
check "20 images" test "$(wc -l < run/certify.tsv)" -eq 21
check "at least 14 of 20 are certified correctly, got $right" test "$right" -ge 14
far=$(awk -F '\t' '$5 == 1 && $4 >= 0.25' run/certify.tsv | wc -l)
check "at least 8 within a radius of 0.25, got $far" test "$far" -ge 8
