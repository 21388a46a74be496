#!/usr/bin/env bash
# Smoothed inference over networks with noisy weights on CIFAR-10 in small, Nemcovsky et al. 2019:
#     smoothed.sh <data set> [votes] [curve] [transfer] [blackbox] [attacks]
# votes     ResNet-20 with parametric and with colored noise, trained on PGD-3: three rules, M = 1 to
#           512 draws, noise on the input of 0 to .3 deviations; clean, and under PGD-7
# curve     one of them over eps: net=cni sigma=0.1 rule=soft M=64
# transfer  crafted on the other network, with and without smoothing there
# blackbox  NAttack on 20 images
# attacks   PGD, EPGD and SmoothAdv with 56 gradients each
# 200 test images; pages with tables and pictures in $runs/votes/<net>-<images>, $runs/curve, ...
# See lib.sh. With config=smoothed_full.cfg: full size.
source "$(dirname "$0")/lib.sh"
config=${config:-$here/cni.cfg}
: "${net:=cni}" "${sigma:=0.1}" "${rule:=soft}" "${M:=64}"
ball="attack.0.steps=7 attack.0.step=2/255 attack.0.keep=last"

defended() {
    case $1 in
    plain) train plain defense=adversarial defense.0.share=0.5 train.clip=0 ;;
    pni) train pni defense=pni,adversarial defense.1.share=0.5 train.clip=0 ;;
    cni)
        defended plain
        train cni model.file="$runs/plain/model.safetensors"
        ;;
    esac
}

# attacked <run> <net> <arguments...>: as attack, whose network has noise of its own.
attacked() {
    attack "$1" model.file="$runs/$2/model.safetensors" defense= evaluate.skip=50 "${@:3}"
}

# crafted <run> <net> <arguments...>: what one attack makes of every 50th test image.
crafted() {
    attacked "$@" vote.draws=1
}

# voted <run> <net> <images> <sigma>: accuracy of votes of 1, 2, 4 ... 512 draws by each rule, on clean
# images or on those of a run; one draw of the weights serves all images, as published.
voted() {
    local of=(data.file="$data" data.split=test evaluate.skip=50)
    [[ $3 == clean ]] || of=(data.file="$runs/$3/adversarial.h5")
    [[ -e $runs/$1/evaluate.json ]] ||
        $testudo evaluate "$config" model.file="$runs/$2/model.safetensors" run.dir="$runs/$1" "${of[@]}" \
            defense= noise.share=batch evaluate.batch=100 vote.sigma="$4" vote.draws=512
}

votes() {
    local net images of sigma pages
    for net in pni cni; do
        defended $net
        for sigma in 0 0.1 0.2 0.3; do
            # shellcheck disable=SC2086
            crafted $net-pgd-$sigma $net vote.sigma=$sigma attack=pgd $ball
        done
        for images in clean pgd; do
            pages=()
            for sigma in 0 0.1 0.2 0.3; do
                of=$net-pgd-$sigma
                [[ $images == pgd ]] || of=clean
                voted votes-$net-$images/sigma-$sigma $net $of $sigma
                report votes-$net-$images/rules-$sigma votes-$net-$images/sigma-$sigma
                pages+=("votes-$net-$images/sigma-$sigma")
            done
            report votes-$net-$images/report "${pages[@]}"
        done
    done
}

curve() {
    local vote=(vote.sigma="$sigma" vote.rule="$rule" vote.draws="$M")
    defended "$net"
    # shellcheck disable=SC2086
    attacked "$net-curve" "$net" "${vote[@]}" attack=pgd $ball \
        attack.0.eps=1/255,2/255,4/255,8/255,16/255,32/255 attack.0.step=0
    report curve "$net-curve"
}

# Crafted on pni, for cni: by PGD on its noisy weights, by EPGD through noise on its input, too.
transfer() {
    local sigma_of
    defended pni
    defended cni
    # shellcheck disable=SC2086
    crafted from-pgd pni attack=pgd $ball
    # shellcheck disable=SC2086
    crafted from-epgd pni vote.sigma="$sigma" attack=epgd $ball attack.0.draws=8
    for of in from-pgd from-epgd; do
        for sigma_of in 0 "$sigma"; do
            voted "$of/on-pni-$sigma_of" pni $of "$sigma_of"
            voted "$of/on-cni-$sigma_of" cni $of "$sigma_of"
        done
    done
}

blackbox() {
    defended "$net"
    attacked "$net-nattack" "$net" craft.skip=500 vote.sigma="$sigma" \
        vote.rule="$rule" vote.draws="$M" attack=nattack attack.0.eps=8/255 attack.0.steps=100 \
        attack.0.early=false
}

attacks() {
    local l2="eps=127/256" k
    local row=()
    defended "$net"
    for k in 1 2 3 4; do
        row+=("attack.$k.norm=l2" "attack.$k.$l2")
    done
    attacked "$net-attacks" "$net" vote.sigma="$sigma" vote.rule="$rule" \
        vote.draws="$M" attack=clean,pgd,epgd,epgd,smoothadv,pgd,epgd,epgd "${row[@]}" \
        attack.1.steps=56 attack.1.step=0 attack.2.steps=7 attack.2.draws=8 \
        attack.3.steps=7 attack.3.draws=8 attack.3.accumulate=true attack.4.steps=7 attack.4.draws=8 \
        attack.5.steps=56 attack.5.step=2/255 attack.6.steps=7 attack.6.draws=8 attack.7.steps=7 \
        attack.7.draws=8 attack.7.accumulate=true
}

for part in "${@:-votes}"; do
    $part
done
