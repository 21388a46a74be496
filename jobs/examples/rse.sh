#!/usr/bin/env bash
# Random self-ensemble on CIFAR-10 in small, Liu et al. 2018:
#     rse.sh <data set> [table] [noise] [ensembles] [targets] [large]
# table      six networks under C&W, five weights c, 200 test images: their tables 1 and 2
# noise      four strengths of noise, and noise in training or at inference alone: figures 2 and 3
# ensembles  the mean of 1, 10 and 50 answers on what C&W found: figure 4
# targets    two images on their way to each other class, c = 1: figure 6 and table 3
# large      full vgg16, ResNeXt and, on wide=<data set> of 96x96 (a folder, import.size=96), Model A:
#            20 steps of training, ten images attacked
# Pages with tables and pictures in $runs/table, noise, ensembles, targets. See lib.sh.
source "$(dirname "$0")/lib.sh"
config=${config:-$here/rse.cfg}
methods=(plain distilled brelu fgsm pgd rse)

# cw <c...>: the attacks clean and C&W with each c, as arguments.
cw() {
    local names=clean options=() k=0 c
    for c in "$@"; do
        names+=,cw
        k=$((k + 1))
        options+=(attack.$k.c="$c" attack.$k.search=0 attack.$k.steps=300 attack.$k.lr=0.001
            attack.$k.keep=last attack.$k.abort_early=false)
    done
    echo attack=$names "${options[@]}"
}

# replay <run> <attacks> <draws>: what they found there, shown again to so many answers.
replay() {
    local names=clean options=() k
    for ((k = 1; k <= $2; k++)); do
        names+=,transfer
        options+=(attack.$k.from="$runs/$1/adversarial.h5" attack.$k.row=$k)
    done
    attack "$1-$3" model.file="$runs/$1/model.safetensors" attack=$names "${options[@]}" vote.draws="$3" \
        evaluate.skip=50
}

defended() {
    case $1 in
    plain) train plain ;;
    teacher) train teacher defense=distillation defense.0.teacher=labels defense.0.temperature=100 ;;
    distilled)
        defended teacher
        train distilled defense=distillation defense.0.teacher="$runs/teacher" defense.0.temperature=100
        ;;
    brelu) train brelu defense=brelu,gaussian defense.1.sigma=0.05 ;;
    fgsm) # retraining: from plain
        defended plain
        train fgsm model.file="$runs/plain/model.safetensors" defense=adversarial defense.0.share=0.5 \
            defense.0.mix=probability defense.0.eps_from=0.1 train.lr=0.02
        ;;
    pgd) train pgd defense=adversarial defense.0.inner=1 ;;
    rse) train rse defense=rse ;;
    tested) # noise at inference alone: plain's weights
        train tested defense=rse model.file="$runs/plain/model.safetensors" train.steps=1 \
            train.lr=0 train.norm=fixed
        ;;
    rse10) train rse10 defense=rse defense.0.sigma_init=0.1 defense.0.sigma_inner=0.05 ;;
    rse05) train rse05 defense=rse defense.0.sigma_init=0.05 defense.0.sigma_inner=0.02 ;;
    esac
}

table() {
    local method options
    read -ra options <<< "$(cw 0.01 0.03 0.1 0.4 1)"
    for method in "${methods[@]}"; do
        defended "$method"
        attack "$method" "${options[@]}"
    done
    report table "${methods[@]}"
}

noise() {
    local method options
    for method in plain rse; do
        defended $method
        read -ra options <<< "$(cw 0.01 0.03 0.1 0.4 1)"
        attack $method "${options[@]}"
    done
    read -ra options <<< "$(cw 0.03 0.1)"
    for method in rse05 rse10 tested; do
        defended $method
        attack $method "${options[@]}"
    done
    attack trained model.file="$runs/rse/model.safetensors" vote.noise=false "${options[@]}"
    report noise plain rse05 rse10 rse tested trained
}

ensembles() {
    local draws options
    defended rse
    read -ra options <<< "$(cw 0.01 0.03 0.1 0.4 1)"
    attack rse "${options[@]}"
    for draws in 1 10 50; do
        replay rse 5 $draws
    done
    report ensembles rse-1 rse-10 rse-50
}

targets() {
    local method options k more=()
    read -ra options <<< "$(cw 1 1 1 1 1 1 1 1 1 1)"
    for k in {1..10}; do
        more+=(attack.$k.label=class attack.$k.class=$((k - 1)))
    done
    for method in plain distilled brelu rse; do
        defended $method
        attack $method-targets model.file="$runs/$method/model.safetensors" craft.skip=6000 \
            evaluate.skip=50 "${options[@]}" "${more[@]}"
    done
    $testudo report report.from="$runs/plain-targets,$runs/distilled-targets,$runs/brelu-targets,$runs/rse-targets" \
        report.out="$runs/targets" report.title=targets report.images=2
}

large() {
    local name options skip=1000
    read -ra options <<< "$(cw 0.1)"
    for name in vgg16 resnext29 ${wide:+model_a}; do
        [[ $name != model_a ]] || data=$wide skip=1
        train large-$name model.name=$name model.width=1 defense=rse train.steps=20 train.batch=32
        attack large-$name model.name=$name model.width=1 craft.skip=$skip craft.max=10 \
            evaluate.skip=$skip evaluate.max=10 "${options[@]}"
    done
}

for part in "${@:-table}"; do
    $part
done
