#!/usr/bin/env bash
# Guided denoisers on CIFAR-10 in small, Liao et al. 2018:
#     hgd.sh <data set> [targets] [sets] [denoisers] [pgd_net] [tables] [diagnostics] [report]
# targets      ResNet-20, which is defended; vgg16 and small_cnn, sources beside it; wrn, held back
# sets         the training set by shares; white-box and black-box sets of test images
# denoisers    dunet by each loss: pixel, feature, logits, class; dae by pixel; logits without classes 7, 8
#              and 9; logits with vgg16 as their guide
# pgd_net      ResNet-20 trained on PGD-7; sets made on it; logits with it as their guide, on either set
# tables       tables 2, 3 and 8, 4, 5, 7, 9: $runs/tables/*.tsv, a line a defense, accuracy in percent
#              clean, under the sets (oblivious) and under PGD-20 through everything (adaptive)
# diagnostics  denoising loss, slope, levels layer by layer, pictures
# report       pages: $runs/report-training, -table3, -table4 (its clean accuracy: of all classes), ...,
#              -losses (table 2), -levels (figures 5 to 7)
# Without a part: all of them. To try it on a few hundred images: epochs=1 (of classifiers) rounds=1 (of
# denoisers) skip=4 (every 4th test image), and second="nin model.width=1", the network in vgg16's place,
# for images that vgg16 does not take. See lib.sh.
source "$(dirname "$0")/lib.sh"
config=${config:-$here/hgd.cfg}
: "${epochs:=5}" "${rounds:=3}" "${skip:=10}" "${second:=vgg16 model.width=0.25}"
all=$runs/resnet20,$runs/vgg16,$runs/small_cnn
out=7,8,9 # classes that a denoiser never sees
rest=0,1,2,3,4,5,6

# classifier <run> <arguments...>
classifier() {
    train "$@" model.mean=0.5 model.std=0.25 train.epochs="$epochs" train.optimizer=sgd train.lr=0.1 \
        train.nesterov=true train.weight_decay=5e-4 train.warmup=0.5 train.batch=128 train.shards=8 \
        train.crop=4 train.val_share=0 train.metric=loss train.keep=last
}

targets() {
    classifier resnet20 model.name=resnet20 defense=
    # shellcheck disable=SC2086
    classifier vgg16 model.name=$second defense=
    classifier small_cnn model.name=small_cnn defense=
    classifier holdout model.name=wrn model.depth=10 model.width=2 defense=
}

# training_set <run> <network>: in which that network has the place of ResNet-20.
training_set() {
    local several=${all/resnet20/$2} k models=()
    for k in 5 6 7; do
        models+=("attack.$k.models=$several")
    done
    [[ -e $runs/$1/outcomes.tsv ]] ||
        $testudo attack "$config" data.file="$data" run.dir="$runs/$1" data.split=train defense= \
            model.file="$runs/$2/model.safetensors" attack.2.models="$runs/$2" \
            attack.3.models="$runs/vgg16" attack.4.models="$runs/small_cnn" "${models[@]}"
}

# test_set <run> <network> <crafted on...>: clean, then FGSM and IFGSM-4, each at 4 and 16 grey levels.
test_set() {
    [[ -e $runs/$1/outcomes.tsv ]] ||
        $testudo attack "$config" data.file="$data" run.dir="$runs/$1" defense= craft.skip="$skip" \
            model.file="$runs/$2/model.safetensors" attack=clean,fgsm,ifgsm attack.1.eps=4/255,16/255 \
            attack.1.label=predicted attack.2.eps=4/255,16/255 attack.2.steps=4 attack.1.models="$3" \
            attack.2.models="$4"
}

sets() {
    training_set set resnet20
    test_set white resnet20 "$runs/resnet20" "$all"
    test_set black resnet20 "$runs/holdout" "$runs/holdout"
}

# denoiser <run> <loss> <arguments...>
denoiser() {
    train "$1" model.name=dunet model.width=0.25 train.epochs="$rounds" defense.0.loss="$2" \
        defense.0.guide="$runs/resnet20" defense.0.sets="$runs/set/adversarial.h5" "${@:3}"
}

denoisers() {
    local loss
    for loss in pixel feature logits class; do
        denoiser $loss $loss
    done
    denoiser dae pixel model.name=dae
    denoiser logits-classes logits defense.0.classes=$rest
    denoiser logits-vgg16 logits defense.0.guide="$runs/vgg16"
}

pgd_net() {
    classifier pgd model.name=resnet20 defense=adversarial inner=pgd inner.0.eps=8/255 \
        inner.0.steps=7 inner.0.step=2/255 inner.0.keep=last
    training_set set-pgd pgd
    test_set white-pgd pgd "$runs/pgd" "${all/resnet20/pgd}"
    denoiser logits-pgd logits defense.0.guide="$runs/pgd"
    denoiser logits-pgd-own logits defense.0.guide="$runs/pgd" \
        defense.0.sets="$runs/set-pgd/adversarial.h5"
}

# tested <name> <white-box set> <arguments...>: a network, or denoisers and networks, under both sets and
# under PGD through all of it.
tested() {
    local names=clean rows=() k set
    for ((k = 1; k <= 8; k++)); do
        set=$2
        [[ $k -le 4 ]] || set=black
        names+=,transfer
        rows+=("attack.$k.from=$runs/$set/adversarial.h5" "attack.$k.row=$(((k - 1) % 4 + 1))")
    done
    attack "test/$1" defense= craft.skip="$skip" craft.store=none attack=$names,pgd "${rows[@]}" \
        attack.9.eps=4/255,16/255 attack.9.steps=20 "${@:3}"
}

# behind <name> <network> <denoiser> <arguments...>; "" for none.
behind() {
    tested "$1" white model.file="$runs/$2/model.safetensors" ${3:+model.denoiser="$runs/$3"} "${@:4}"
}

# table <name> <tests...>: $runs/tables/<name>.tsv.
table() {
    local test
    mkdir -p "$runs/tables"
    {
        printf 'defense\tclean\twhite 4\twhite 16\tblack 4\tblack 16\tadaptive 4\tadaptive 16\n'
        for test in "${@:2}"; do
            awk -F'\t' -v name="$test" '
                NR == 1 { for (i = 1; i <= NF; i++) c[$i] = i; next }
                $1 == "worst" { next }
                { a[n++] = 100 * $c["right"] / $c["images"] }
                function mean(i, j) { return (a[i] + a[j]) / 2 }
                END {
                    printf "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", name, a[0], mean(1, 3),
                        mean(2, 4), mean(5, 7), mean(6, 8), a[9], a[10]
                }' "$runs/test/$test/robustness.tsv"
        done
    } > "$runs/tables/$1.tsv"
}

tables() {
    local name members
    behind none resnet20 ""
    for name in dae pixel feature logits class; do
        behind $name resnet20 $name
    done
    behind pixel-x2 resnet20 pixel model.denoise=2
    behind pgd pgd ""
    table table3 none dae pixel pixel-x2 pgd feature logits class

    behind classes-none resnet20 "" craft.classes=$out
    behind classes-logits resnet20 logits craft.classes=$out
    behind classes-unseen resnet20 logits-classes craft.classes=$out
    table table4 classes-none classes-logits classes-unseen

    behind vgg16 vgg16 ""
    behind vgg16-logits vgg16 logits
    behind vgg16-own vgg16 logits-vgg16
    table table5 vgg16 vgg16-logits vgg16-own

    tested pgd-white white-pgd model.file="$runs/pgd/model.safetensors"
    tested pgd-logits white-pgd model.file="$runs/pgd/model.safetensors" model.denoiser="$runs/logits-pgd-own"
    table table7 none logits pgd-white pgd-logits

    local a=$runs/resnet20 b=$runs/pgd c=$runs/logits d=$runs/logits-pgd
    members=("$d>$b" "$a,$b" "$c>$a,$c>$b" "$c>$a,$c>$b,$d>$a,$d>$b" "$c&$d>$a,$c&$d>$b" "$c>$a,$d>$b")
    for name in {1..6}; do
        tested members-"$name" white model.members="${members[name - 1]}"
    done
    table table9 logits members-{1..6}
}

# Of every test image of both sets, then of thirty of IFGSM-4 at 16 grey levels.
seen() {
    local to=("$config" data.file="$data" model.file="$runs/resnet20/model.safetensors" defense=)
    local by=(model.denoiser="$runs/$2" evaluate.skip="$skip" "${@:3}") set
    for set in white black; do
        [[ -e $runs/seen/$set-$1/denoising.tsv ]] ||
            $testudo evaluate "${to[@]}" "${by[@]}" run.dir="$runs/seen/$set-$1" \
                evaluate.set="$runs/$set/adversarial.h5"
    done
    [[ -e $runs/seen/$1/denoising.tsv ]] ||
        $testudo evaluate "${to[@]}" "${by[@]}" run.dir="$runs/seen/$1" \
            evaluate.set="$runs/white/adversarial.h5" evaluate.set_attack=4 evaluate.set_max=30
}

diagnostics() {
    local name
    for name in pixel feature logits class dae; do
        seen $name $name
    done
    seen pixel-x2 pixel model.denoise=2
}

pages() {
    local from
    report report-training resnet20 vgg16 small_cnn holdout pgd pixel feature logits class dae
    report report-table3 test/{none,dae,pixel,pixel-x2,pgd,feature,logits,class}
    report report-table4 test/classes-{none,logits,unseen}
    report report-table5 test/vgg16{,-logits,-own}
    report report-table7 test/{none,logits,pgd-white,pgd-logits}
    report report-table9 test/{logits,members-{1..6}}
    report report-losses seen/{white,black}-{dae,pixel,pixel-x2,feature,logits,class}
    printf -v from ",$runs/seen/%s" pixel pixel-x2 feature logits class dae
    $testudo report report.from="${from#,}" report.out="$runs/report-levels" report.title=report-levels
}

[[ $# -gt 0 ]] || set -- targets sets denoisers pgd_net tables diagnostics report
for part in "$@"; do
    [[ $part != report ]] || part=pages
    $part
done
