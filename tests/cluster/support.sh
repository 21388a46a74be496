# What chain and faults share: an experiment, what it must come to, and the way into the cluster.
# shellcheck shell=bash disable=SC2034

cluster=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$cluster/../.." && pwd)
failures=0

# Directories of earlier runs that were killed: those whose process is gone. Those of runs that
# failed say no process and stay.
remove_leftovers() {
    local owner pid started
    for owner in "${TMPDIR:-/tmp}/testudo-$1"-*/owner; do
        read -r pid started 2> /dev/null < "$owner" || continue
        [[ $(start_of "$pid") == "$started" ]] || rm -rf "$(dirname "$owner")"
    done
}

# When a process started, in ticks since boot; nothing if there is no such process.
start_of() {
    sed 's/.*) //' "/proc/$1/stat" 2> /dev/null | cut -d ' ' -f 20
}

# enter_cluster <arguments of the script...>: starts the script again in a cluster, in a fresh
# directory that stays when something failed. The first argument is the program.
enter_cluster() {
    local directory code=0 testudo=${1:?usage: $0 TESTUDO ...}
    testudo=$(readlink -f "$testudo")
    remove_leftovers "$(basename "$0")"
    directory=$(mktemp -d "${TMPDIR:-/tmp}/testudo-$(basename "$0")-XXXXXX")
    cd "$directory" || exit 1
    echo "$$ $(start_of $$)" > owner
    CLUSTER_SHARE=$(dirname "$testudo"):${TESTUDO_DATA:-/nowhere} TESTUDO=$testudo \
        IN_CLUSTER=$directory "$cluster/run" "$cluster/$(basename "$0")" "$testudo" "${@:2}" || code=$?
    cd / || exit 1
    if [[ $code -eq 0 || $code -eq 77 ]]; then
        rm -rf "$directory"
    else
        rm -f "$directory/owner"
        echo "everything is kept in $directory"
    fi
    exit "$code"
}

fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
}

# write_experiment <epochs> <draws>: a small one on MNIST, on drawn digits where TESTUDO_DATA is
# not set.
write_experiment() {
    local import='format = "glyphs"; train = 3000; test = 200;'
    [[ ! -d ${TESTUDO_DATA:-/nowhere}/mnist ]] ||
        import="format = \"idx\"; from = \"$TESTUDO_DATA/mnist\";"
    cat > experiment.cfg << END
run     = { dir = "run"; seed = 3; };
import  = { $import out = "data.h5"; };
data    = { file = "data.h5"; };
model   = { name = "lenet"; };
defense = ( { name = "gaussian"; sigma = 0.25; } );
train   = { images = 2000; epochs = $1; batch = 64; shards = 8; lr = 0.01; save = 10; };
craft   = { max = 60; };
attack  = ( { name = "clean"; }, { name = "pgd"; eps = (0.1, 0.2); steps = 10; } );
certify = { sigma = 0.25; n = $2; max = 10; hash = true; };
END
}

# On one rank, without Slurm: what every other way must come to.
run_alone() {
    local model=model.file=alone/model.safetensors
    local testudo=${TESTUDO:?}
    "$testudo" import experiment.cfg &&
        "$testudo" train experiment.cfg run.dir=alone &&
        "$testudo" attack experiment.cfg run.dir=alone/attacks $model &&
        "$testudo" certify experiment.cfg run.dir=alone
} > alone.log 2>&1

# same <run directory> <file...>: equal to those of run_alone?
same() {
    local directory=$1 file
    shift
    for file in "$@"; do
        cmp "alone/$file" "$directory/$file" >&2 || return 1
    done
}

# job_state <number>: PENDING, RUNNING, COMPLETED, ...
job_state() {
    timeout 10 scontrol show job -o "$1" 2> /dev/null | grep -oP ' JobState=\K\S+'
}

job_field() {
    timeout 10 scontrol show job -o "$1" 2> /dev/null | grep -oP "(^| )$2=\K\S+" | head -n 1
}

job_over() {
    [[ $(job_state "$1") =~ ^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY|BOOT_FAIL|DEADLINE)$ ]]
}
