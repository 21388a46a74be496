#!/usr/bin/env bash
# Certified accuracy on CIFAR-10 in small after three ways of training ResNet-20:
#     cohen_table.sh <data set> [25] [50]
# 25, 50  noise of .25 and of .5: Gaussian (Cohen et al. 2019), consistency (Jeong and Shin 2020) and
#         SmoothAdv of two steps (Salman et al. 2019), six epochs each; 50 test images at n = 10,000
# Pages with tables and pictures in $runs/certified25, certified50. See lib.sh.
source "$(dirname "$0")/lib.sh"
config=${config:-$here/cohen_table.cfg}

# certify <run> <arguments...>: unless its certificates are there.
certify() {
    [[ -e $runs/$1/certify.tsv ]] ||
        $testudo certify "$config" data.file="$data" run.dir="$runs/$1" "${@:2}"
}

# trained <hundredths of sigma> <lambda> <eps>: three networks, and their certificates side by side.
trained() {
    local noise=(defense.0.sigma="0.$1") net
    train "gaussian$1" defense=gaussian "${noise[@]}"
    train "consistency$1" defense=gaussian,consistency "${noise[@]}" defense.1.lambda="$2"
    train "smoothadv$1" defense=gaussian,smooth_adversarial "${noise[@]}" inner.0.eps="$3"
    for net in gaussian consistency smoothadv; do
        certify "$net$1" defense= certify.sigma="0.$1"
    done
    report "certified$1" "gaussian$1" "consistency$1" "smoothadv$1"
}

for part in "${@:-25}"; do
    case $part in
    25) trained 25 20 64/256 ;;
    50) trained 50 10 127/256 ;;
    esac
done
