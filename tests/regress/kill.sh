#!/usr/bin/env bash
# kill -9 of every rank at a random time, in training and in certification, at a fixed number of draws and
# by looks; started again on another number of ranks, the job ends with the same bytes as if nothing had
# happened.
#   TESTUDO_KILLS=20: how many kills in each (3; 1 when brief); TESTUDO_MODEL: of which network (zcnn);
#   TESTUDO_DISTURB: in which of "train certify looks"
source "$(dirname "$0")/lib.sh"

kills=${TESTUDO_KILLS:-3}
[[ $mode != brief ]] || kills=1
train=(train data.file=glyphs.h5 model.name="${TESTUDO_MODEL:-zcnn}" train.epochs=3 train.save=3 train.lr=0.02
    defense=gaussian,brelu)
certify=(certify data.file=glyphs.h5 model.file=trained/model.safetensors certify.sigma=0.25
    certify.n=2000 certify.hash=1)
looks=("${certify[@]}" certify.n=12800 certify.mode=radii)

# seconds <command...>: how long it takes, into $took.
seconds() {
    local begin=$EPOCHREALTIME
    "$@"
    took=$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
}

# start_and_kill <seconds> <ranks> <arguments...>: every process of the job, without warning.
start_and_kill() {
    local delay=$1 ranks=$2 job
    shift 2
    "$mpiexec" -n "$ranks" --oversubscribe "$testudo" "$@" > killed.out 2>&1 < /dev/null &
    job=$!
    sleep "$delay"
    pkill -9 -P "$job"
    kill -9 "$job"
    wait "$job"
    { echo "\$ killed after $delay s: $*"; cat killed.out; } >> log
} 2> /dev/null

# disturb <title> <file> <arguments...>: kills at random times, each in a run of its own. The file is the
# last that a job writes.
disturb() {
    local title=$1 file=$2 i delay early=0
    shift 2
    [[ " ${TESTUDO_DISTURB:-$title} " == *" $title "* ]] || return
    for ((i = 1; i <= kills; i++)); do
        delay=$(awk -v r="$RANDOM" -v t="$took" 'BEGIN { print 0.2 + (t - 0.2) * r / 32768 }')
        rm -rf "run$i"
        start_and_kill "$delay" $((1 + i % 4)) "$@" run.dir="run$i"
        if [[ -e run$i/$file ]]; then # it was through already
            early=$((early + 1))
        else
            must_work $((1 + (i + 1) % 4)) "$@" run.dir="run$i"
            ! grep -q '^resume' err || resumed=$((resumed + 1))
        fi
        must_equal "whole/$file" "run$i/$file"
        [[ $title == train ]] || must_equal whole/certificates.h5 "run$i/certificates.h5"
    done
    echo "$title: $kills kills, $early of them after the end"
}

glyphs glyphs.h5 2000 20
resumed=0
seconds must_work 2 "${train[@]}" run.dir=whole
disturb train model.safetensors "${train[@]}"
mv whole trained
for title in certify looks; do
    declare -n arguments=$title
    rm -rf whole run*
    seconds must_work 2 "${arguments[@]}" run.dir=whole
    disturb $title votes.tsv "${arguments[@]}"
done
echo "$resumed jobs went on from something that was saved"

# A second job on a run directory is refused while the first one lives.
run_args=("${train[@]}" run.dir=busy train.epochs=200)
"$testudo" "${run_args[@]}" > busy.out 2>&1 < /dev/null &
first=$!
for ((i = 0; i < 100; i++)); do
    [[ ! -e busy/run.json ]] || break
    sleep 0.1
done
must_fail 1 'another job works in this directory' 1 "${run_args[@]}"
kill -9 $first
wait $first 2> /dev/null

# A checkpoint of other settings is refused; a damaged one falls back to the one before.
run_args=("${train[@]}" run.dir=state train.steps=12)
must_work 1 "${run_args[@]}"
cp state/model.safetensors want
rm state/model.safetensors
must_fail 2 'checkpoint.h5 is of a run with other settings' 1 "${run_args[@]}" train.lr=0.03
printf x | dd of=state/checkpoint.h5 bs=1 seek=4000 conv=notrunc status=none
must_work 2 "${run_args[@]}"
check "a line says that the newest is bad" grep -q 'checkpoint.h5' err
must_equal want state/model.safetensors
