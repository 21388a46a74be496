#!/usr/bin/env bash
# kill.sh <records> <mpiexec command without -n>...: kill -9 at any moment, on changing numbers of
# ranks: what was finished is found again, and nobody else gets into the directory meanwhile.
set -u
records=$1
shift
dir=$(mktemp -d "$PWD/kill.XXXXXX")
job=
trap '[[ -z $job ]] || kill -9 $job 2>/dev/null; rm -rf "$dir"' EXIT

fail() {
    echo "kill.sh: $*"
    [[ -f $dir/out ]] && cat "$dir/out"
    exit 1
}

for ranks in 1 3 2 4; do
    "$@" -n "$ranks" "$records" work "$dir" >"$dir/out" 2>&1 &
    job=$!
    for ((i = 0; i < 300; i++)); do
        ready=$(compgen -G "$dir/ready.*") && break
        kill -0 $job 2>/dev/null || fail "the job on $ranks ranks ended by itself"
        sleep 0.1
    done
    root=${ready##*.}
    [[ -n $root ]] || fail "the job on $ranks ranks did not start"
    said=$("$@" -n 1 "$records" work "$dir" 2>&1)
    code=$?
    [[ $code -eq 1 && $said == *"process $root on $(hostname) holds $dir/lock"* ]] ||
        fail "a second job got exit code $code: $said"
    sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
    kill -9 "$root" || fail "the root had gone"
    wait $job
    job=
    rm "$ready"
    "$@" -n 1 "$records" check "$dir" >"$dir/out" 2>&1 || fail "after a kill on $ranks ranks"
done
cat "$dir/out"
[[ $(compgen -G "$dir/said.*" | wc -l) -eq 10 ]] || fail "not every rank recorded something"
