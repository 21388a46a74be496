# What the scripts of this folder share. A script is started as
#     <script> <testudo> <mpiexec> [quick|brief|thorough]
# and sources this file, which takes it into a fresh directory that goes away when all checks
# passed and stays, with the log of every command, when one failed. A check that fails is
# counted and the script goes on, but not for ever.
set -uo pipefail

testudo=$1 mpiexec=$2 mode=${3:-quick}
calls=0
launch=()       # more arguments for mpiexec
limit=120       # seconds that one command may take
checks=0 failures=0
# Sooner up: no search for fast networks. Sooner down: no second of grace for lingering ranks.
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader OMPI_MCA_odls_base_sigkill_timeout=0
directory=$(mktemp -d "${TMPDIR:-/tmp}/testudo-$(basename "$0" .sh)-XXXXXX")
cd "$directory" || exit 1

finish() {
    if [[ $failures -eq 0 && $checks -gt 0 ]]; then
        rm -rf "$directory"
        echo "$checks checks passed in $SECONDS s"
        exit 0
    fi
    echo "$failures of $checks checks failed; everything is kept in $directory"
    exit 1
}
trap finish EXIT

# check <sentence> <command...>: the command succeeds.
check() {
    local sentence=$1
    shift
    checks=$((checks + 1))
    if ! "$@"; then
        failures=$((failures + 1))
        echo "FAILED: $sentence"
        if [[ $failures -ge 10 ]]; then
            echo "giving up"
            exit 1
        fi
        return 1
    fi
}

# sometimes <n>: true in each n-th call when brief, for builds with a sanitizer, which start
# slowly; else always.
sometimes() {
    calls=$((calls + 1))
    [[ $mode != brief || $((calls % $1)) -eq 0 ]]
}

# What AddressSanitizer is told. The search for leaks takes most of a short run's time: when brief,
# each job is searched once in a script, and always where it fails.
declare -A searched=()
search_leaks() {
    asan=${ASAN_OPTIONS:-}
    if [[ $mode == brief && $1 != failing && -n ${searched[$1]:-} ]]; then
        asan+=:detect_leaks=0:fast_unwind_on_malloc=1
    fi
    searched[$1]=yes
}

# run <ranks> <arguments of testudo...>: leaves `out`, `err`, and its exit code in $code. One rank
# runs without a launcher.
run() {
    local ranks=$1 command=("$testudo") asan
    shift
    search_leaks "${failing:-$1}"
    if [[ $ranks -gt 1 ]]; then
        command=("$mpiexec" -n "$ranks" --oversubscribe "${launch[@]}" "$testudo")
    fi
    ASAN_OPTIONS=$asan started "${command[@]}" "$@"
}

started() {
    said="$*"
    timeout -k 5 "$limit" "$@" > out 2> err < /dev/null
    code=$?
    { echo "\$ $said"; cat out err; echo "[exit code $code]"; } >> log
}

failed_with_output() {
    echo "    $said"
    sed 's/^/    | /' err | tail -n 20
    return 1
}

# kill_when <condition> <arguments of testudo...>: one rank, killed as soon as the command holds.
kill_when() {
    local condition=$1 pid
    shift
    "$testudo" "$@" > out 2> err < /dev/null &
    pid=$!
    until eval "$condition" || ! kill -0 $pid; do
        sleep 0.01
    done
    kill -9 $pid
    wait $pid
} 2> /dev/null

# ledger_holds <directory> <bytes>: more than so much is in its ledger.
ledger_holds() {
    [[ $(cat "$1"/ledger/segment.* 2> /dev/null | wc -c) -gt $2 ]]
}

must_work() {
    run "$@"
    check "exit code 0, got $code" test $code -eq 0 || failed_with_output
}

# must_fail <code> <regex> <ranks> <arguments...>: this exit code, and exactly one line of ours,
# which the regex fits.
must_fail() {
    local want=$1 regex=$2 failing=failing
    shift 2
    run "$@"
    must_have_failed "$want" "$regex"
}

# The same for the command before.
must_have_failed() {
    local lines
    lines=$(grep -c '^testudo:' err)
    check "exit code $1, got $code" test "$code" -eq "$1" &&
        check "one line of ours, got $lines" test "$lines" -eq 1 &&
        check "a line with '$2'" grep -Eq "^testudo: .*($2)" err || failed_with_output
}

# The command before wrote this to standard output.
must_say() {
    check "standard output has '$1'" grep -Eq -- "$1" out || { echo "    $said"; return 1; }
}

must_equal() {
    check "$1 equals $2 byte by byte" cmp -s "$1" "$2"
}

must_differ() {
    check "$1 and $2 are there" test -s "$1" -a -s "$2"
    check "$1 differs from $2" bash -c '! cmp -s "$0" "$1"' "$1" "$2"
}

# defenses <config file> <row...>: a config with this list, rows as libconfig has them.
defenses() {
    local file=$1 row list=
    shift
    for row in "$@"; do
        list+="${list:+, }{ $row }"
    done
    echo "defense = ( $list );" > "$file"
}

must_exist() {
    check "$1 is there" test -e "$1"
}

must_not_exist() {
    check "$1 is not there" test ! -e "$1"
}

# paint_with <tool> <arguments...>: a tool of the tests, whose leaks are not what is tested; the
# leak checker itself has crashed in it while Open MPI's threads were ending.
paint_with() {
    ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" "$@"
}

# glyphs <file> <training images> <test images>
glyphs() {
    must_work 1 import import.format=glyphs import.out="$1" import.train="$2" import.test="$3"
}
