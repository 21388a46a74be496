# What the batch scripts of this folder share: `launch JOB ARGUMENT...` runs one job of testudo on
# the ranks of the allocation, and decides what its end means.
#
#   exit code 0        done
#   3                  stopped ahead of the time limit: back into the queue, it goes on
#   128 and more       a rank was killed: the same, TESTUDO_RETRIES (10) times at most
#   1, 2               an error that another start does not mend: the chain ends here
#
#   TESTUDO            the program; testudo in PATH if it is not set
#   TESTUDO_LAUNCHER   srun or mpirun; the first of them that starts one job of all ranks if not set
# shellcheck shell=bash

testudo=${TESTUDO:-testudo}
launcher=() launched=''

say() {
    echo "slurm/lib.sh: $*" >&2
}

# The batch script gets the signal (--signal=B:USR1), since srun and mpirun pass it on to all ranks.
pass_on() {
    [[ -z $launched ]] || kill -s "$1" "$launched" 2> /dev/null || true
}
trap 'pass_on USR1' USR1
trap 'pass_on TERM' TERM

# Slurm before 23.02 does not put the end of the job into its environment.
tell_end() {
    local end
    [[ -z ${SLURM_JOB_END_TIME:-} ]] || return 0
    end=$(squeue -h -j "$SLURM_JOB_ID" -o %e 2> /dev/null) || return 0
    end=$(date -d "$end" +%s 2> /dev/null) || return 0
    export SLURM_JOB_END_TIME=$end
}

# As many as tasks were asked for; else one for so many cores as --cpus-per-task says, of all that
# the allocation has on each node, which Slurm writes as 8(x2),4.
ranks_here() {
    local group times ranks=0
    if [[ -n ${SLURM_NTASKS:-} ]]; then
        echo "$SLURM_NTASKS"
        return
    fi
    # shellcheck disable=SC2017 # whole ranks of each node
    for group in ${SLURM_JOB_CPUS_PER_NODE//,/ }; do
        times=1
        [[ $group != *x* ]] || times=${group#*x}
        ranks=$((ranks + ${group%%(*} / ${SLURM_CPUS_PER_TASK:-1} * ${times%)}))
    done
    echo "$ranks"
}

# set_launcher <srun or mpirun> <ranks>: with the cores that the allocation has for a rank.
set_launcher() {
    local cores=${SLURM_CPUS_PER_TASK:-1}
    export OMP_NUM_THREADS=$cores
    case "$1" in
    srun)
        launcher=(srun --mpi=pmix --ntasks="$2" --cpus-per-task="$cores" --cpu-bind=cores
            --kill-on-bad-exit=1)
        ;;
    mpirun) launcher=(mpirun -n "$2" --map-by "slot:PE=$cores" --bind-to core) ;;
    *)
        say "TESTUDO_LAUNCHER = $1: srun or mpirun expected"
        exit 2
        ;;
    esac
}

# Into $settings what `testudo check` prints, on all ranks: a start that costs a second, and shows
# whether the launcher fits.
choose_launcher() {
    local ranks name
    ranks=$(ranks_here)
    for name in ${TESTUDO_LAUNCHER:-srun mpirun}; do
        set_launcher "$name" "$ranks"
        if settings=$(timeout 120 "${launcher[@]}" "$testudo" check "$@"); then
            return
        fi
        say "$name does not start testudo on $ranks ranks"
    done
    exit 2
}

setting() {
    sed -n "s/^$1=//p" <<< "$settings"
}

# The file with which a job is through; empty for a report, which is made again.
result_of() {
    case "$1" in
    import) setting 'import\.out' ;;
    train) echo "$(setting 'run\.dir')/model.safetensors" ;;
    attack) echo "$(setting 'run\.dir')/outcomes.tsv" ;;
    certify) echo "$(setting 'run\.dir')/votes.tsv" ;;
    evaluate)
        if [[ -e $(setting 'run\.dir')/outcomes.tsv ]]; then
            echo "$(setting 'run\.dir')/robustness.tsv"
        else
            echo "$(setting 'run\.dir')/evaluate.tsv"
        fi
        ;;
    esac
}

# Training takes no more ranks than it has shards.
limit_ranks() {
    local ranks shards
    ranks=$(ranks_here)
    shards=$(setting 'train\.shards')
    if [[ $1 == train && $ranks -gt ${shards:-$ranks} ]]; then
        say "train.shards = $shards: $((ranks - shards)) of $ranks ranks have nothing to do and are left out"
        set_launcher "${launcher[0]}" "$shards"
    fi
}

# Runs a command that may be signalled meanwhile; returns its exit code.
run_and_wait() {
    local code=0
    "$@" &
    launched=$!
    while :; do
        wait "$launched" && code=0 || code=$?
        kill -0 "$launched" 2> /dev/null || break
    done
    launched=''
    return "$code"
}

# Back into the queue, unless Slurm is ending the job itself (scancel stops ranks early, too).
again() {
    local state
    state=$(scontrol show job -o "$SLURM_JOB_ID" | grep -oP ' JobState=\K\S+') || true
    if [[ $state != RUNNING ]]; then
        say "$1; Slurm says $state: not queued again"
        exit "$2"
    fi
    say "$1; back into the queue"
    if ! scontrol requeue "$SLURM_JOB_ID"; then
        say "this job may not be queued again: submit it by hand, it goes on where it stopped"
        exit "$2"
    fi
    sleep 120 # Slurm ends this script
    exit "$2"
}

launch() {
    local job=$1 code=0 result
    tell_end
    choose_launcher "${@:2}"
    result=$(result_of "$job")
    if [[ -n $result && -e $result ]]; then
        say "$result is there: $job is done"
        exit 0
    fi
    limit_ranks "$job"
    say "$job, start $((${SLURM_RESTART_COUNT:-0} + 1)): ${launcher[*]}"
    run_and_wait "${launcher[@]}" "$testudo" "$@" || code=$?
    case "$code" in
    0) exit 0 ;;
    3) again "$job stopped early" 3 ;;
    1 | 2)
        say "$job failed with exit code $code"
        exit "$code"
        ;;
    esac
    if [[ ${SLURM_RESTART_COUNT:-0} -lt ${TESTUDO_RETRIES:-10} ]]; then
        again "$job was ended by signal $((code - 128))" "$code"
    fi
    say "$job was ended by signal $((code - 128)), after ${SLURM_RESTART_COUNT:-0} restarts"
    exit "$code"
}
