#!/usr/bin/env bash
# testudo attack: outcomes with the same bytes for any number of ranks, any batch, and after a kill;
# what it stores, and replays; what it refuses.
source "$(dirname "$0")/lib.sh"

glyphs g.h5 512 96
must_work 1 train run.dir=net data.file=g.h5 model.name=lenet train.steps=40 train.batch=64
must_work 1 train run.dir=other data.file=g.h5 model.name=mlp train.steps=40 train.batch=64
common=(data.file=g.h5 model.file=net/model.safetensors craft.max=40)

# A list of every kind, crafted on the network and on others.
cat > list.cfg <<'C'
attack = ( { name = "clean"; }, { name = "random_noise"; eps = 0.2; },
           { name = "fgsm"; eps = (0.05, 0.1, "51/255"); }, { name = "fgsm"; norm = "l2"; eps = 2; minimal = true; eps_step = 0.5; },
           { name = "rfgsm"; eps = 0.2; label = "least"; }, { name = "ifgsm"; eps = 0.2; ladder = (1, 4); models = "net,other/model.safetensors"; },
           { name = "pgd"; eps = 0.2; steps = 5; restarts = 2; loss = "dlr"; label = "each"; targets = 2; } );
C
must_work 1 attack list.cfg "${common[@]}" run.dir=one
must_say 'fgsm linf 0.2 '
must_say 'all of them at worst'
for ranks in 2 3; do
    if sometimes 2; then
        must_work $ranks attack list.cfg "${common[@]}" run.dir=r$ranks craft.batch=$((3 + ranks))
        for file in outcomes.tsv attack.json adversarial.h5; do
            must_equal one/$file r$ranks/$file
        done
    fi
done
check "a line for each attack and image" test "$(wc -l < one/outcomes.tsv)" -eq $((9 * 40 + 1))
fails() { # <title>: how many images are wrong under the attack of that number
    awk -F'\t' -v a="$1" '$1 == a && $3 != $5' one/outcomes.tsv | wc -l
}
check "fgsm is stronger than noise of its size" test "$(fails 4)" -gt "$(fails 1)"
check "pgd is as strong as fgsm at least" test "$(fails 8)" -ge "$(fails 4)"
must_fail 2 'holds results already' 1 attack list.cfg "${common[@]}" run.dir=one

# Killed when so much is in the ledger, and resumed on another number of ranks.
for bytes in 300000 $([[ $mode == brief ]] || echo 40000 900000); do
    rm -rf killed
    kill_when "ledger_holds killed/attack $bytes" attack list.cfg "${common[@]}" run.dir=killed craft.batch=2
    must_not_exist killed/outcomes.tsv
    must_work 2 attack list.cfg "${common[@]}" run.dir=killed
    check "it goes on from what is there" grep -q 'outcomes are there already' err
    must_equal one/outcomes.tsv killed/outcomes.tsv
    must_equal one/adversarial.h5 killed/adversarial.h5
done

# What was stored is what was judged: a replay has the same outcomes, and fits another network.
must_work 2 attack "${common[@]}" run.dir=replay attack=transfer attack.0.from=one/adversarial.h5 attack.0.row=8
column() { awk -F'\t' -v a="$1" -v c="$2" '$1 == a { print $c }' "$3"; }
check "a replay is judged alike" diff <(column 8 5 one/outcomes.tsv) <(column 0 5 replay/outcomes.tsv)
must_work 1 attack data.file=g.h5 model.file=other/model.safetensors craft.max=40 run.dir=onto attack=transfer attack.0.from=one/adversarial.h5
must_work 1 attack "${common[@]}" run.dir=u8 attack=pgd attack.0.eps=0.1 attack.0.steps=3 craft.store=u8
check "8-bit images stay in the ball" awk -F'\t' 'NR > 1 && $10 > 0.100001 { exit 1 }' u8/outcomes.tsv
must_work 1 attack "${common[@]}" run.dir=replay8 attack=transfer attack.0.from=u8/adversarial.h5
check "8-bit images are judged as they are stored" diff <(column 0 5 u8/outcomes.tsv) <(column 0 5 replay8/outcomes.tsv)
must_work 1 attack "${common[@]}" run.dir=of_train data.split=train attack=fgsm craft.store=u8
must_work 1 train run.dir=static data.file=of_train/adversarial.h5 model.name=lenet train.steps=2 train.batch=16
must_work 1 evaluate run.dir=aside data.file=one/adversarial.h5 model.file=net/model.safetensors

# A random target: judged by fresh draws, the same ones on any ranks; quantised in front.
random=("${common[@]}" vote.sigma=0.2 vote.draws=20 attack=fgsm,pgd attack.1.draws=3 attack.1.reduce=probability attack.1.steps=3 craft.store=none)
must_work 1 attack "${random[@]}" run.dir=noisy
must_say 'a fresh draw'
must_not_exist noisy/adversarial.h5
must_work 3 attack "${random[@]}" run.dir=noisy3 craft.batch=5
must_equal noisy/outcomes.tsv noisy3/outcomes.tsv
must_work 1 attack "${common[@]}" run.dir=levels attack=pgd attack.0.eps=0.3 target.levels=2 attack.0.steps=5
must_work 1 attack "${common[@]}" run.dir=masked attack=random_noise attack.0.eps=0.3 target.levels=2
check "gradients pass a quantiser" test "$(awk -F'\t' '$7 == 1' levels/outcomes.tsv | wc -l)" -gt "$(awk -F'\t' '$7 == 1' masked/outcomes.tsv | wc -l)"

# eps_ref by bisection.
must_work 2 attack "${common[@]}" run.dir=ref attack=fgsm,clean attack.0.eps=1 craft.eps_ref=0.5 craft.bisections=4
check "eps_ref is recorded" grep -q '"eps_ref"' ref/attack.json
must_not_exist ref/none

# One clear line each, on every number of ranks, and nothing half-written.
refuse() { # <code> <regex> <arguments...>
    sometimes 4 || return
    rm -rf bad
    must_fail "$1" "$2" 1 attack run.dir=bad "${common[@]}" "${@:3}"
    must_not_exist bad/outcomes.tsv
    must_not_exist bad/adversarial.h5
}
refuse 2 'attack lists 0 attacks'
refuse 2 'attack.0.eps = 2 leaves the box' attack=pgd attack.0.eps=2
refuse 2 'attack.0.norm is l1, expected one of linf, l2' attack=pgd attack.0.norm=l1
refuse 2 "attack.*'pdg'.*did you mean 'pgd'" attack=pdg
refuse 1 'missing.safetensors' attack=pgd model.file=missing.safetensors
refuse 1 'nowhere.safetensors' attack=pgd attack.0.models=nowhere.safetensors
refuse 2 'needs gradients' attack=pgd model.precision=bf16
refuse 2 'from' attack=transfer
refuse 1 'nothing.h5' attack=transfer attack.0.from=nothing.h5
refuse 2 'expected a stored set' attack=transfer attack.0.from=g.h5
refuse 2 'expected a stored set' attack=transfer attack.0.from=one/adversarial.h5 craft.max=39
refuse 2 'numbered from 0' attack=transfer attack.0.from=one/adversarial.h5 attack.0.row=9
refuse 2 'target.levels = 1' attack=pgd target.levels=1
refuse 2 'craft.eps_ref is for attacks with an eps' attack=clean craft.eps_ref=0.5
must_work 1 import import.format=circles import.out=c.h5 import.train=64 import.test=40
refuse 2 'is for images of|in 2 classes|data.file has' attack=transfer attack.0.from=one/adversarial.h5 data.file=c.h5 craft.max=0
rm -rf bad
must_fail 2 'leaves the box' 3 attack run.dir=bad "${common[@]}" attack=pgd attack.0.eps=2
must_fail 2 'no training images|group' 1 train run.dir=trained data.file=one/adversarial.h5 model.name=lenet train.steps=1
