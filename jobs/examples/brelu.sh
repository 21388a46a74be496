#!/usr/bin/env bash
# Zantedeschi et al. 2017 on MNIST:
#     brelu.sh <data set> [table] [curves] [architectures] [transfer]
# table          seven defenses, the smallest FGSM step that fools each on all test images, distance
#                to the training set, sensitivity of the loss: tables 2 and 3
# curves         accuracy over eps, FGSM and R+FGSM, 2,000 images: figures 4 and 5
# architectures  the same for two networks, ReLU and bounded ReLU: figure 3
# transfer       crafted on zresnet, tested on each defense: 1,000 images, 200 for JSMA and C&W
# cifar          with a data set of CIFAR-10: four defenses over eps, 1,000 images: figures 4 and 5
# Pages with tables and pictures in $runs/table, curves, architectures, ... See lib.sh.
# With config=brelu_full.cfg and copies=10: full size.
source "$(dirname "$0")/lib.sh"
config=${config:-$here/brelu.cfg}
sigma=0.3 eps=0.3 bits=1
minimal=(craft.skip=1 attack=clean,fgsm attack.1.minimal=true attack.1.eps=1 attack.1.eps_step=0.05)
methods=(cnn squeezing smoothing fgsm vat gda gda_brelu)

# crafted <attack> <arguments...>: what it makes of the training images, on the plain network.
crafted() {
    [[ -e $runs/set_$1/outcomes.tsv ]] ||
        $testudo attack "$config" data.file="$data" data.split=train craft.skip=1 run.dir="$runs/set_$1" \
            model.file="$runs/cnn/model.safetensors" attack="$1" "${@:2}"
}

# defended <method> <arguments...>: its network.
defended() {
    local gda=(defense.0.sigma=$sigma defense.0.copies="${copies:-3}")
    case $1 in
    cnn) train cnn "${@:2}" ;;
    squeezing) train squeezing defense=feature_squeezing defense.0.bits=$bits "${@:2}" ;;
    smoothing) train smoothing defense=label_smoothing "${@:2}" ;;
    fgsm | vat) train "$1" defense=static_set defense.0.file="$runs/set_$1/adversarial.h5" "${@:2}" ;;
    gda) train gda defense=gaussian "${gda[@]}" "${@:2}" ;;
    gda_brelu) train gda_brelu defense=gaussian,brelu "${gda[@]}" "${@:2}" ;;
    esac
}

defenses() {
    local method
    defended cnn
    crafted fgsm attack.0.eps=$eps
    crafted vat attack.0.eps=2.1
    for method in "${methods[@]}"; do
        defended "$method"
    done
}

table() {
    local method page=()
    defenses
    for method in "${methods[@]}"; do
        attack table_$method model.file="$runs/$method/model.safetensors" "${minimal[@]}"
        page+=(table_$method)
    done
    report table "${page[@]}"
}

curves() {
    local method
    defenses
    for method in "${methods[@]}"; do
        attack "$method" evaluate.distance=false
    done
    report curves "${methods[@]}"
}

architectures() {
    local of=(model.name=zresnet) method
    train cnn
    train cnn_brelu defense=brelu
    train resnet "${of[@]}"
    train resnet_brelu "${of[@]}" defense=brelu
    for method in cnn cnn_brelu; do
        attack $method evaluate.distance=false
    done
    for method in resnet resnet_brelu; do
        attack $method "${of[@]}" evaluate.distance=false
    done
    report architectures cnn cnn_brelu resnet resnet_brelu
}

transfer() {
    local method from
    defenses
    train resnet model.name=zresnet
    from=(model.name=zresnet model.file="$runs/resnet/model.safetensors")
    attack resnet_crafted "${from[@]}" craft.skip=10 attack=fgsm,rfgsm,deepfool,vat attack.0.eps=0.1 \
        attack.1.eps=0.1 attack.1.alpha=0.05 attack.2.box=pixel attack.3.eps=2.1
    attack resnet_searched "${from[@]}" craft.skip=50 attack=jsma,cw attack.0.gamma=1 attack.0.theta=0.1 \
        attack.1.search=5 attack.1.steps=200 attack.1.c=0.01 attack.1.lr=0.005 attack.1.confidence=2.3
    for method in "${methods[@]}"; do
        replay "$method" crafted 10 4
        replay "$method" searched 50 2
    done
    report transfer_crafted "${methods[@]/%/_crafted}"
    report transfer_searched "${methods[@]/%/_searched}"
}

cifar() {
    local method methods=(cnn squeezing smoothing fgsm gda_brelu) sigma=0.05 eps=0.05 bits=3
    local spread=train.val_rows=spread    # images may be sorted by class
    runs+=/cifar
    defended cnn $spread
    crafted fgsm attack.0.eps=$eps
    defended gda_brelu $spread train.epochs=5    # of four times the images
    for method in "${methods[@]}"; do
        defended "$method" $spread
        attack "$method" craft.skip=10 evaluate.distance=false
    done
    report curves "${methods[@]}"
    runs=${runs%/cifar}
}

# replay <method> <set> <skip> <attacks>: each attack of a set, on this network.
replay() {
    local k more=() names=transfer
    for ((k = 0; k < $4; k++)); do
        more+=(attack.$k.from="$runs/resnet_$2/adversarial.h5" attack.$k.row=$k)
        names+=$([[ $k -eq 0 ]] || echo ,transfer)
    done
    attack "$1_$2" model.file="$runs/$1/model.safetensors" craft.skip="$3" attack=$names "${more[@]}"
}

for part in "${@:-table}"; do
    $part
done
