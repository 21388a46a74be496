#!/usr/bin/env bash
# What networks of ImageNet's size ask for on this machine:
#   tests/bench/imagenet_size.sh [testudo] [directory for runs]
# inception_v3 at 299x299: a training step of four images, one of them forward, FGSM on four; dunet of full
# width in front of it: a training step by its logits, keeping everything and with checkpoints, one image
# through both. resnet50 at 224x224: 20 training steps of eight images, 200 votes on one, PGD-2 on four.
# Photographs are those of TESTUDO_DATA/imagenet-sample; without them, small glyphs made large. What a
# network of so few steps answers is of no meaning. Prints a line for each: seconds of processor time, start
# and end included, and the peak of resident memory in MB.
set -euo pipefail
testudo=$(realpath "${1:-build/release/testudo}") paint=$(dirname "${1:-build/release/testudo}")/tests/regress/regress_paint
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
runs=${2:-$scratch}
export OMP_NUM_THREADS=1

# A folder with a class for each photograph, trained on and tested with.
folder() {
    local file class n=0
    for file in "$@"; do
        class=class$(printf %02d $n)
        for split in train test; do
            mkdir -p "$scratch/images/$split/$class"
            ln -s "$(realpath "$file")" "$scratch/images/$split/$class/$(basename "${file,,}")"
        done
        n=$((n + 1))
    done
}

if [[ -n ${TESTUDO_DATA:-} ]]; then
    folder "$TESTUDO_DATA"/imagenet-sample/*
else
    "$testudo" import import.format=glyphs import.out="$scratch/g.h5" import.train=10 import.test=50 > /dev/null 2>&1
    mkdir "$scratch/png"
    "$paint" "$scratch/g.h5" "$scratch/png" png 0 50 10
    folder "$scratch"/png/*
fi
for size in 224 299; do
    "$testudo" import import.format=folder import.from="$scratch/images" import.size=$size \
        import.out="$scratch/$size.h5" > "$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
done

# measure <what> <size> <run> <job> <arguments...>
measure() {
    local run=$runs/$3 seconds TIMEFORMAT=%U
    seconds=$({ time "$testudo" "$4" data.file="$scratch/$2.h5" run.dir="$run" "${@:5}" \
        > "$scratch/log" 2>&1; } 2>&1) || { cat "$scratch/log"; exit 1; }
    awk -v what="$1" -v s="$seconds" -F'[:,]' '/"peak_memory_bytes"/ { bytes = $2 }
        END { printf "%-60s %8.1f s %8.0f MB\n", what, s, bytes / 1e6 }' "$run/run.json"
}

measure "inception_v3 299x299, training step of 4 images" 299 inception train model.name=inception_v3 \
    model.mean=0.5 model.std=0.5 train.batch=4 train.shards=1 train.steps=1 train.lr=0.01
target=model.file=$runs/inception/model.safetensors
measure "  forward, 1 image at a time" 299 forward evaluate "$target" evaluate.max=1 evaluate.batch=1
measure "  FGSM on 4 images" 299 set attack "$target" data.split=train craft.max=4 craft.batch=1 \
    craft.store=u8 attack=fgsm attack.0.eps=16/255
measure "dunet 299x299, training step of 4 images by its logits" 299 dunet train model.name=dunet \
    defense=guided_denoiser defense.0.guide="$runs/inception" defense.0.sets="$runs/set/adversarial.h5" \
    train.batch=4 train.shards=1 train.steps=1 train.optimizer=adam train.lr=0.001
measure "  the same with 8 checkpoints" 299 dunet8 train model.name=dunet \
    defense=guided_denoiser defense.0.guide="$runs/inception" defense.0.sets="$runs/set/adversarial.h5" \
    train.batch=4 train.shards=1 train.steps=1 train.optimizer=adam train.lr=0.001 train.checkpoint=8
cmp "$runs/dunet/model.safetensors" "$runs/dunet8/model.safetensors"
measure "  forward through both, 1 image at a time" 299 both evaluate "$target" model.denoiser="$runs/dunet" \
    evaluate.max=1 evaluate.batch=1
measure "resnet50 224x224, 20 training steps of 8 images" 224 resnet train model.name=resnet50 \
    model.mean=0.485,0.456,0.406 model.std=0.229,0.224,0.225 train.batch=8 train.shards=1 train.steps=20 \
    train.epochs=4 train.lr=0.01
target=model.file=$runs/resnet/model.safetensors
measure "  200 votes on one image" 224 votes certify "$target" certify.sigma=0.25 certify.n0=20 \
    certify.n=180 certify.max=1 certify.batch=8
measure "  PGD-2 on 4 images" 224 pgd attack "$target" craft.max=4 craft.batch=1 craft.store=none attack=pgd \
    attack.0.steps=2 attack.0.eps=8/255
