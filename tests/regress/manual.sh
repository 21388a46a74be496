#!/usr/bin/env bash
# What is generated from the tables: each job and each key that help knows is in the manual page
# and in the completion; bash reads the completion, and completes with it.
source "$(dirname "$0")/lib.sh"

page() {
    must_work 1 help "$1"
    cp out "$1"
    must_work 1 help "$1"
    must_equal out "$1"
    check "help $1 prints plain text" bash -c '! LC_ALL=C grep -q "[^ -~]" "$0"' "$1"
}
page man
page bash

# has <file> <regex>
has() {
    check "$1 has $2" grep -Eq -- "$2" "$1"
}

# ---- every job and key ----

must_work 1 help
jobs=$(sed -nE 's/^  ([a-z]+) +[a-z].*/\1/p' out)
check "help lists jobs" test "$(wc -w <<< "$jobs")" -ge 9
for job in $jobs; do
    has man "^\\\\fB$job\\\\fR( |\$)"
    has bash "^    $job\) printf"
done
must_work 1 list options
keys=$(sed -nE 's/^  ([a-z_0-9]+\.[a-z_0-9]+) .*/\1/p' out)
check "list options lists keys" test "$(wc -w <<< "$keys")" -ge 80
for key in $keys; do
    grep -Fxq "\\fB$key\\fR" man || missing+=" $key"
    grep -Fq "    $key) echo" bash || missing+=" $key"
done
check "no key is missing:${missing:-}" test -z "${missing:-}"
has man 'Takes a number from 0 to 1; default [\\]fB0.9'
for section in NAME SYNOPSIS DESCRIPTION JOBS OPTIONS 'EXIT STATUS' FILES EXAMPLES 'SEE ALSO'; do
    has man "^\.SH $section\$"
done

# ---- completion ----

check "bash reads the completion" bash -n bash
cat > complete.sh <<'SCRIPT'
# complete.sh <breaks> <line>: what bash would offer behind this line, one answer a line.
source ./bash
COMP_WORDBREAKS=$1
COMP_LINE=$2 COMP_POINT=${#2}
read -ra COMP_WORDS <<< "$2"
[[ $2 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMPREPLY=()
_testudo
printf '%s\n' "${COMPREPLY[@]}"
SCRIPT

# offers <line> <answers...>: these and no others, in any order.
offers() {
    local line=$1 got want
    shift
    want=$(printf '%s\n' "$@" | sort)
    got=$(bash complete.sh "${breaks-= }" "$line" 2>&1 | sort)
    check "'$line' offers '${want//$'\n'/ }', got '${got//$'\n'/ }'" test "$got" = "$want"
}

mkdir empty && cp bash complete.sh empty && cd empty || exit 1
mkdir data && touch run.cfg data/a.h5 other.txt
offers 'testudo ev' evaluate
offers 'testudo ' $jobs
offers 'testudo zz' ''
offers 'testudo list m' models
offers 'testudo help b' bench bash
offers 'testudo train train.opt' train.optimizer=
offers 'testudo train train.optimizer=' sgd adam lars
offers 'testudo train train.nest' train.nesterov=
offers 'testudo train train.nesterov=t' true
offers 'testudo train train.lr=' 0.05
offers 'testudo train model.name=resnet2' resnet20
offers 'testudo certify certify.noise=r' rounded real
offers 'testudo certify train.l' ''
offers 'testudo certify r' run.cfg run.dir= run.margin= run.seed= run.slow_factor= run.slow_rank= run.threads= run.until=
offers 'testudo certify run.cfg data.file=da' data
offers 'testudo certify run.cfg da' data.file= data.resize= data.size= data.split= data/
offers 'testudo certify run.cfg data.file=data/' data/a.h5
offers 'testudo train defense=ga' gaussian
offers 'testudo train defense.1.si' defense.1.sigma= defense.1.sigma_init= defense.1.sigma_inner=
offers 'testudo train defense.1.noise=re' real
breaks=' ' offers 'testudo train train.optimizer=s' train.optimizer=sgd
cd ..
