#!/usr/bin/env bash
# The processor kernels of OpenBLAS: run.json names them in every build. Where convolutions are
# OpenBLAS's (no oneDNN), ranks that were given different ones get one clear error, and the same
# ones on all ranks give the same votes for any number of ranks.
source "$(dirname "$0")/lib.sh"

# cores <core of rank 0> <core of rank 1> <core of rank 2> <arguments...>
cores() {
    local a=$1 b=$2 c=$3
    shift 3
    started "$mpiexec" --oversubscribe -n 1 env OPENBLAS_CORETYPE="$a" "$testudo" "$@" : \
        -n 1 env OPENBLAS_CORETYPE="$b" "$testudo" "$@" : \
        -n 1 env OPENBLAS_CORETYPE="$c" "$testudo" "$@"
}

works() {
    check "exit code 0, got $code" test "$code" -eq 0 || failed_with_output
}

[[ $(uname -m) == x86_64 ]] || { echo "SKIPPED: the names of cores below are those of x86-64"; exit 0; }
glyphs glyphs.h5 40 4
train=(train data.file=glyphs.h5 model.name=zcnn train.batch=20 train.epochs=1)
certify=(certify data.file=glyphs.h5 certify.sigma=0.5 certify.n=200 certify.n0=20 certify.hash=1)

cores Nehalem Nehalem Nehalem "${train[@]}" run.dir=equal
works
check "run.json names the core" grep -q '"blas_core": "Nehalem"' equal/run.json
must_exist equal/model.safetensors

if grep -q '"convolution": "none"' equal/run.json; then
    check "the core stands for the instruction set" \
        grep -q '"instruction_set": "Nehalem"' equal/run.json
    cores Nehalem Prescott Nehalem "${train[@]}" run.dir=apart
    must_have_failed 2 'rank 1 .*kernels for Prescott here, but for Nehalem on rank 0'
    must_not_exist apart
    cores Nehalem Nehalem Prescott "${certify[@]}" model.file=equal/model.safetensors run.dir=apart
    must_have_failed 2 'rank 2 .*kernels for Prescott here, but for Nehalem on rank 0'
    must_not_exist apart
    cores Nehalem Prescott Prescott "${train[@]}" run.dir=apart # two that differ: one line
    must_have_failed 2 'rank 1 .*Prescott'
else
    cores Nehalem Prescott Nehalem "${train[@]}" run.dir=apart
    works
    must_equal equal/model.safetensors apart/model.safetensors
fi

# The same core everywhere: the same votes, with the bits of their logits, on one rank and on three.
cores Nehalem Nehalem Nehalem "${certify[@]}" model.file=equal/model.safetensors run.dir=three
works
OPENBLAS_CORETYPE=Nehalem run 1 "${certify[@]}" model.file=equal/model.safetensors run.dir=one
works
must_equal three/votes.tsv one/votes.tsv
