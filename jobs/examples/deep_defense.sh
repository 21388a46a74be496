#!/usr/bin/env bash
# Yan et al. 2018 on MNIST:
#     deep_defense.sh <data set> [table] [curves] [study] [layers] [convnet]
# table    reference networks, fine-tuning by each method, what they withstand: table 1
# curves   clean accuracy and rho2 behind each epoch: figure 2
# study    c and lambda, LeNet on 10,000 images: figure 3
# layers   one layer regularised at a time, the same: figure 4
# convnet  with a data set of CIFAR-10: ConvNet, reference and Deep Defense
# Pages with tables and pictures: table-mlp, table-lenet, curves-mlp, ... in $runs. See lib.sh.
source "$(dirname "$0")/lib.sh"
config=$here/deep_defense.cfg
# MLP sees 0..255 minus the mean image, LeNet 0..1 minus it: at 0..255 it does not learn from our
# initialisation.
declare -A std=([mlp]=1/255 [lenet]=1) most=([mlp]=255 [lenet]=1) rate=([mlp]=0.001 [lenet]=0.03)
declare -A tuning=([mlp]=0.0005 [lenet]=0.005)
rho2=(attack=clean,deepfool attack.1.form=matlab attack.1.steps=5 attack.1.small=5e-6
    attack.1.candidates=0 attack.1.correct=true attack.1.units=input)

reference() { # <network>
    train "$1" model.name="$1" model.std="${std[$1]}" train.epochs=20 train.lr="${rate[$1]}" \
        train.milestones=12,17 train.factor=0.1
}

# The images that DeepFool makes of the training set.
fixed_set() { # <network>
    [[ -e $runs/$1-set/outcomes.tsv ]] ||
        $testudo attack "$config" data.file="$data" data.split=train run.dir="$runs/$1-set" \
            model.file="$runs/$1/model.safetensors" attack=deepfool attack.0.form=matlab \
            attack.0.candidates=0
}

# fine_tune <network> <method> <arguments...>: five epochs; the network behind epoch k is left in
# <network>-<method>-k.
fine_tune() {
    local run=$1-$2 k
    for k in 1 2 3 4 5; do
        [[ ! -e $runs/$run-$k/model.safetensors ]] || continue
        train "$run" model.file="$runs/$1/model.safetensors" train.epochs=$k train.lr="${tuning[$1]}" "${@:3}"
        mkdir -p "$runs/$run-$k"
        mv "$runs/$run/model.safetensors" "$runs/$run-$k"
    done
}

methods=(clean parseval fixed fgs deep deep_fgs)
all_methods() { # <network>
    local with=(defense.0.share=0.5)
    reference "$1"
    fixed_set "$1"
    fine_tune "$1" clean
    fine_tune "$1" parseval defense=parseval defense.0.beta=1e-4
    fine_tune "$1" fixed defense=static_set defense.0.file="$runs/$1-set/adversarial.h5"
    fine_tune "$1" fgs defense=adversarial "${with[@]}"
    fine_tune "$1" deep defense=deep_defense
    fine_tune "$1" deep_fgs defense=adversarial,deep_defense "${with[@]}"
}

# shares <run>: 0.2, 0.5 and 1 of the eps at which FGS halves its accuracy.
shares() {
    sed -n '/"eps_ref": \[/,/\]/p' "$runs/$1/attack.json" | grep -oE '[0-9.]+$' |
        awk '{ printf "%.9g,%.9g,%.9g", 0.2 * $1, 0.5 * $1, $1 }'
}

# eps_ref is that of Deep Defense, for all.
table() {
    local net method eps
    for net in mlp lenet; do
        local page=($net)
        all_methods $net
        attack $net-deep-5 craft.eps_ref=0.5 attack.2.eps=${most[$net]}
        eps=$(shares $net-deep-5)
        attack $net attack.2.eps="$eps"
        for method in "${methods[@]}"; do
            attack $net-$method-5 attack.2.eps="$eps"
            page+=($net-$method-5)
        done
        report table-$net "${page[@]}"
    done
}

curves() {
    local net method k
    for net in mlp lenet; do
        local page=($net)
        all_methods $net
        attack $net "${rho2[@]}"
        for method in clean fixed deep; do
            for k in 1 2 3 4 5; do
                attack $net-$method-$k "${rho2[@]}"
                page+=($net-$method-$k)
            done
        done
        report curves-$net "${page[@]}"
    done
}

# small <run> <arguments...>: Deep Defense, three epochs of 10,000 images, and rho2.
small() {
    train "$1" model.file="$runs/lenet/model.safetensors" train.lr="${tuning[lenet]}" train.images=10000 \
        train.epochs=3 defense=deep_defense "${@:2}"
    attack "$1" "${rho2[@]}"
}

study() {
    local lambda c page=(lenet)
    reference lenet
    attack lenet "${rho2[@]}"
    for lambda in 5 15 25; do
        for c in 15 25 35; do
            small lambda$lambda-c$c defense.0.lambda=$lambda defense.0.c=$c
            page+=(lambda$lambda-c$c)
        done
    done
    report study "${page[@]}"
}

layers() {
    local layer c page=(lenet)
    reference lenet
    attack lenet "${rho2[@]}"
    for layer in conv1 conv2 fc1 fc2; do
        for c in 5 25 45; do
            small $layer-c$c defense.0.layers=$layer defense.0.c=$c
            page+=($layer-c$c)
        done
    done
    report layers "${page[@]}"
}

# CIFAR-10, its own configuration: ConvNet, the reference and Deep Defense on 10,000 images.
convnet() {
    config=$here/deep_defense_cifar10.cfg
    train convnet train.epochs=9 train.lr=0.05 train.milestones=6,8 train.factor=0.1
    train convnet-deep model.file="$runs/convnet/model.safetensors" train.images=10000 defense=deep_defense
    attack convnet-deep craft.eps_ref=0.5
    attack convnet attack.2.eps="$(shares convnet-deep)"
    report convnets convnet convnet-deep
}

for part in "${@:-table}"; do
    $part
done
