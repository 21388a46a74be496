#!/usr/bin/env bash
# When one rank fails, all ranks end within seconds, with the same exit code and one line of
# ours: whatever only rank 1 cannot read, and whichever allocation of rank 1 fails.
source "$(dirname "$0")/lib.sh"

limit=10 # a hang is a failure
samples=3 step=2 # how many allocations are made to fail, unless all are
[[ $mode == brief ]] && samples=1 step=4

# apart <setting> <arguments...>: three ranks; the setting is for the middle one alone.
apart() {
    local setting=$1
    shift
    started "$mpiexec" --oversubscribe -n 1 "$testudo" "$@" : -n 1 "$testudo" "$@" "$setting" : \
        -n 1 "$testudo" "$@"
}

glyphs glyphs.h5 60 4
train=(train data.file=glyphs.h5 model.name=zcnn train.batch=20 train.epochs=2 defense=gaussian
    defense.0.sigma=0.25)
# a network with a defense, that none be forgotten when memory is short
defenses bounded.cfg 'name = "brelu"; t = 2.0;'
must_work 1 train bounded.cfg run.dir=bounded data.file=glyphs.h5 model.name=zcnn train.batch=20
certify=(certify data.file=glyphs.h5 model.file=bounded/model.safetensors certify.sigma=0.5 certify.n=600
    certify.n0=20 certify.hash=1)

# ---- what one rank cannot read ---------------------------------------------------------------
apart data.file=nowhere.h5 "${train[@]}" run.dir=a
must_have_failed 1 'rank 1 .*nowhere.h5'
must_not_exist a/model.safetensors
apart data.file=nowhere.h5 "${certify[@]}" run.dir=b
must_have_failed 1 'rank 1 .*nowhere.h5'
apart model.file=nowhere "${certify[@]}" run.dir=c
must_have_failed 1 'rank 1 .*nowhere'
head -c 9000 glyphs.h5 > short.h5 # what the root has read of it is right, the images are not there
apart data.file=short.h5 "${train[@]}" run.dir=d
must_have_failed 1 'rank 1 .*short.h5'
must_not_exist d/model.safetensors
apart data.file=short.h5 "${certify[@]}" run.dir=e
must_have_failed 1 'rank 1 .*short.h5'
must_not_exist e/votes.tsv
apart train.epocs=1 "${train[@]}" run.dir=f
must_have_failed 2 'rank 1 .*train.epocs'
must_not_exist f

# ---- memory that one rank does not get ---------------------------------------------------------
# starved <k> <arguments...>: allocation k of rank 1 fails. True if the program ended well.
starved() {
    local k=$1
    shift
    rm -rf starved
    launch=(-x TESTUDO_FAIL_ALLOC="$k" -x TESTUDO_FAIL_RANK=1)
    run 2 "$@" run.dir=starved
    launch=()
    if [[ $code -eq 0 ]]; then
        return 0
    fi
    must_have_failed 1 'memory' || echo "    at allocation $k"
    check "no result when allocation $k fails" \
        bash -c '! ls starved/*.safetensors starved/*.tsv > /dev/null 2>&1'
    return 1
}

# every <arguments...>: finds how many allocations there are, each try being a test itself; then
# lets a sample of them fail, spread evenly; when thorough a fifth, or all with EACH=1.
every() {
    local low=0 high=1 middle i
    until starved "$high" "$@" || [[ $high -gt 1000000 ]]; do
        low=$high high=$((step * high))
    done
    if [[ $mode == thorough ]]; then
        while [[ $((high - low)) -gt 1 ]]; do
            middle=$(((low + high) / 2))
            if starved "$middle" "$@"; then high=$middle; else low=$middle; fi
        done
        samples=$((low / ${EACH:-5}))
    fi
    check "there are allocations to fail" test "$low" -ge 50
    for ((i = 1; i <= samples; i++)); do
        middle=$((low * i / samples))
        starved "$middle" "$@" && check "allocation $middle of $1 is missed" false
    done
    echo "$1: at least $low allocations, $samples more tries"
}

every "${train[@]}"
every "${certify[@]}"
