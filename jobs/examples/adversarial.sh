#!/usr/bin/env bash
# Adversarial training on CIFAR-10 in small:
#     adversarial.sh <data set>
# The small network of TRADES, three epochs: Gaussian noise and bounded ReLU, PGD training, TRADES,
# MART; clean accuracy and PGD-20 on 500 test images. A page in $runs/adversarial. See lib.sh.
source "$(dirname "$0")/lib.sh"
config=$here/adversarial.cfg
train gaussian_brelu defense=gaussian,brelu defense.0.sigma=0.05
train pgd defense=adversarial
train trades defense=trades defense.0.inner=1
train mart defense=mart
for net in gaussian_brelu pgd trades mart; do
    attack $net
done
report adversarial gaussian_brelu pgd trades mart
