#!/usr/bin/env bash
# Randomness does not hide a network by accident: an attacker who averages over more of its draws does
# no worse. PGD and EPGD on small random networks, five seeds; mean accuracy over fresh draws of the
# noise does not rise by more than a point from fewer draws to more. (In this order it falls by more.)
source "$(dirname "$0")/lib.sh"

seeds=5 images=60
[[ $mode != brief ]] || seeds=2 images=10
glyphs g.h5 1500 $images
draws=(1 8 32)

# list <name>: an attack of this name for each number of draws.
list() {
    local d rows=
    for d in "${draws[@]}"; do
        rows+="${rows:+, }{ name = \"$1\"; eps = $eps; steps = 4; draws = $d; }"
    done
    echo "$rows"
}

# accuracy <attack>: in percent, mean over all runs, images and fresh draws.
accuracy() {
    cat "$net".*/outcomes.tsv | awk -F '\t' -v a="$1" '$1 == a { s += 1 - $15 / $16; n++ }
        END { printf "%.3f", 100 * s / n }'
}

# rises <from> <to>: by more than a point?
rises() {
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(b > a + 1) }'
}

# attack_net <directory> <eps> <arguments of train...>
attack_net() {
    net=$1 eps=$2
    must_work 2 train run.dir="$net" data.file=g.h5 model.name=lenet train.epochs=4 train.batch=50 "${@:3}"
    echo "attack = ( $(list pgd), $(list epgd) );" > "$net.cfg"
    for ((seed = 1; seed <= seeds; seed++)); do
        must_work 2 attack "$net.cfg" run.dir="$net.$seed" data.file=g.h5 model.file="$net/model.safetensors" \
            run.seed="$seed" vote.draws=16 craft.store=none
    done
    for ((a = 0; a < 6; a++)); do
        of[a]=$(accuracy $a)
    done
    echo "$net: pgd with ${draws[*]} draws ${of[*]:0:3} %, epgd ${of[*]:3:3} %"
    for a in 0 1 3 4; do
        check "$net: no more than a point more, from ${of[a]} % to ${of[a + 1]} %" \
            bash -c '! rises "$@"' - "${of[a]}" "${of[a + 1]}"
    done
    check "$net: nor from one draw to all" bash -c '! rises "$@"' - "${of[0]}" "${of[2]}"
}
export -f rises

attack_net rse 0.05 defense=rse defense.0.sigma_init=0.4 defense.0.sigma_inner=0.4
attack_net pni 0.05 defense=pni defense.0.on=inputs defense.0.alpha=1
