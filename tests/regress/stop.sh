#!/usr/bin/env bash
# Stopping early, by a signal to one rank or ahead of the end of the job's time: exit code 3, one
# line, and the job goes on on another number of ranks to the bytes of a run that was left alone.
# And what a launch that is wrong is told.
source "$(dirname "$0")/lib.sh"

glyphs glyphs.h5 500 20
train=(train data.file=glyphs.h5 model.name=lenet train.epochs=32 train.lr=0.02)
attack=(attack data.file=glyphs.h5 model.file=whole/model.safetensors attack=pgd
    attack.0.steps=100 attack.0.restarts=4)
[[ $mode != brief ]] || train+=(train.epochs=8)
certify=(certify data.file=glyphs.h5 model.file=whole/model.safetensors certify.sigma=0.25
    certify.n=2000 certify.hash=1)
evaluate=(evaluate data.file=glyphs.h5 model.file=whole/model.safetensors vote.sigma=0.2
    vote.draws=1000)

# left_alone <file> <arguments...>: a run that nobody disturbs.
left_alone() {
    local file=$1
    shift
    must_work 2 "$@" run.dir=whole
    must_exist "whole/$file"
}

# send <signal> <directory> <arguments...>: one of two ranks gets it as soon as there is work.
send() {
    local signal=$1 where=$2 rank
    shift 2
    said="$* ($signal)"
    timeout -k 5 "$limit" "$mpiexec" -n 2 --oversubscribe "$testudo" "$@" run.dir="$where" \
        > out 2> err < /dev/null &
    for ((i = 0; i < 300; i++)); do
        [[ ! -e $where/run.json ]] || break
        sleep 0.1
    done
    rank=$(pgrep -n -f "^$testudo .*run.dir=$where\$")
    kill -s "$signal" "$rank"
    wait $!
    code=$?
    { echo "\$ $said"; cat out err; echo "[exit code $code]"; } >> log
}

# signalled <signal> <file> <arguments...>: again if the work was done before the signal came.
signalled() {
    local signal=$1 file=$2 where=run-$3-$1
    shift 2
    for _ in 1 2 3; do
        send "$signal" "$where" "$@"
        [[ $code -eq 0 ]] || break
        rm -r "$where"
    done
    must_have_failed 3 'stopped as asked'
    must_not_exist "$where/$file"
    must_work 3 "$@" run.dir="$where"
    must_equal "whole/$file" "$where/$file"
}

# timed_out <file> <arguments...>: ends before its time does; with less time if that was enough.
timed_out() {
    local file=$1 where=run-$2-time begin left
    shift
    for left in 64 62 61; do
        begin=$SECONDS
        SLURM_JOB_END_TIME=$(($(date +%s) + left)) run 2 "$@" run.dir="$where"
        [[ $code -eq 0 ]] || break
        rm -r "$where"
    done
    must_have_failed 3 'stopped as asked'
    check "it stops well before" test $((SECONDS - begin)) -lt 40
    must_work 1 "$@" run.dir="$where"
    must_equal "whole/$file" "$where/$file"
}

left_alone model.safetensors "${train[@]}"
signalled USR1 model.safetensors "${train[@]}"
timed_out model.safetensors "${train[@]}"
left_alone votes.tsv "${certify[@]}"
signalled TERM votes.tsv "${certify[@]}"
if [[ $mode == thorough ]]; then
    left_alone outcomes.tsv "${attack[@]}"
    signalled USR1 outcomes.tsv "${attack[@]}"
    left_alone evaluate.tsv "${evaluate[@]}"
    signalled USR1 evaluate.tsv "${evaluate[@]}"
fi

# No time at all, before anything is written.
must_fail 2 'run.margin = 60: the job.s time is over in' 2 "${train[@]}" run.dir=none \
    run.until=$(($(date +%s) + 30))
must_not_exist none

# Programs that a launcher started apart; the first of them speaks.
export SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0
must_fail 2 'srun started 4 programs of one rank' 1 "${train[@]}" run.dir=none
SLURM_PROCID=1 run 1 "${train[@]}" run.dir=none
check "exit code 2, got $code" test $code -eq 2
check "the second says nothing" test ! -s err
must_not_exist none
unset SLURM_STEP_NUM_TASKS SLURM_PROCID

# More threads than cores.
run 1 check run.threads=1024
check "a warning about run.threads" grep -q '^testudo: run.threads = 1024, but the affinity mask' err
must_say '^run.threads=1024$'
must_work 2 check "${train[@]:1}" defense=gaussian,brelu train.milestones=1,2.5
check "two ranks" grep -Eq '^2 ranks on 1 node, [0-9]+ cores? each$' err
must_say '^data.file=glyphs.h5$'
must_say '^train.milestones=1,2.5$'
must_say '^defense.1.name=brelu$'
must_fail 2 'train.epoch' 1 check train.epoch=3
