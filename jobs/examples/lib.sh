# What the experiments of this folder share. An experiment is run from anywhere as
#     NAME.sh <data set> [part ...]
# with the environment: testudo ("mpirun -n 2 testudo"), runs (where results go, "runs"). What is
# finished is not done again, so it may be stopped and started at any time.
set -euo pipefail

: "${testudo:=build/release/testudo}" "${runs:=runs}"
here=$(dirname "${BASH_SOURCE[0]}")
data=${1:?a data set, made by testudo import, expected}
shift

# train <run> <arguments...>: unless its model is there.
train() {
    [[ -e $runs/$1/model.safetensors ]] ||
        $testudo train "$config" data.file="$data" run.dir="$runs/$1" "${@:2}"
}

# attack <run> <arguments...>: unless its outcomes are there; then tables of what they say.
attack() {
    local to=("$config" data.file="$data" run.dir="$runs/$1") given
    [[ -e $runs/$1/outcomes.tsv ]] || $testudo attack "${to[@]}" "${@:2}"
    for given in "${@:2}"; do
        [[ ! $given =~ ^(model|evaluate|vote)\.|^defense= ]] || to+=("$given")
    done
    [[ -e $runs/$1/robustness.tsv ]] || $testudo evaluate "${to[@]}"
}

# report <name> <runs...>: side by side, in $runs/<name>.
report() {
    local from
    printf -v from ",$runs/%s" "${@:2}"
    $testudo report report.from="${from#,}" report.out="$runs/$1" report.title="$1" report.images=0
}
