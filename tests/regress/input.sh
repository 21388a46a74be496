#!/usr/bin/env bash
# An input layer that training learns from the images: the same bytes on any number of ranks and
# after a resume, the same answers from the file as it says, and what it refuses.
source "$(dirname "$0")/lib.sh"

glyphs data.h5 300 20
learnt=(model.mean_image=true model.contrast=true model.whiten=true model.std=0.5)
args=(data.file=data.h5 model.name=zcnn train.batch=64 train.shards=4 train.lr=0.001)

must_work 1 train run.dir=one "${args[@]}" "${learnt[@]}" train.epochs=2 train.keep=worst \
    train.metric=loss
must_work 1 info model.file=one/model.safetensors
must_say '^input layer: mean image, contrast, whitening, std 0.5$'
must_say '^input.mean  *\[1,28,28\]  *784  fixed$'
must_say '^input.contrast  *\[1\]  *1  fixed$'
must_say '^input.whiten  *\[784,784\]  *614656  fixed$'
for ranks in 2 3; do
    must_work $ranks train run.dir="ranks$ranks" "${args[@]}" "${learnt[@]}" train.epochs=2 \
        train.keep=worst train.metric=loss
    must_equal one/model.safetensors "ranks$ranks/model.safetensors"
done

# Stopped after an epoch and gone on with, on other ranks: what is kept has its input layer.
must_work 2 train run.dir=stopped "${args[@]}" "${learnt[@]}" train.epochs=1 train.keep=worst \
    train.metric=loss
rm stopped/model.safetensors
must_work 1 train run.dir=stopped "${args[@]}" "${learnt[@]}" train.epochs=2 train.keep=worst \
    train.metric=loss
must_equal one/model.safetensors stopped/model.safetensors

# Training goes on from the file, with its input layer, on other data.
glyphs other.h5 100 20
must_work 1 train run.dir=more data.file=other.h5 model.file=one/model.safetensors train.lr=0 \
    train.steps=1 train.shards=2
must_equal one/model.safetensors more/model.safetensors

# Each step of the layer matters.
must_work 1 train run.dir=mean "${args[@]}" model.mean_image=true model.std=0.5 train.steps=1
must_work 1 info model.file=mean/model.safetensors
must_say '^input layer: mean image, std 0.5$'
must_differ mean/model.safetensors one/model.safetensors

# The other jobs: bits do not depend on ranks and batches.
for ranks in 1 2; do
    must_work $ranks certify data.file=data.h5 model.file=one/model.safetensors \
        run.dir="votes$ranks" certify.sigma=0.25 certify.n0=20 certify.n=100 certify.max=4 \
        certify.hash=1 certify.batch=$((7 * ranks))
    must_work $ranks evaluate data.file=data.h5 model.file=one/model.safetensors \
        run.dir="clean$ranks" evaluate.batch=$((5 * ranks))
done
must_equal votes1/votes.tsv votes2/votes.tsv
must_equal clean1/evaluate.tsv clean2/evaluate.tsv
echo 'attack = ( { name = "fgsm"; eps = 0.1; } );' > fgsm.cfg
must_work 1 attack fgsm.cfg data.file=data.h5 model.file=one/model.safetensors run.dir=attacked \
    craft.max=4
echo 'attack = ( { name = "fgsm"; eps = 0.1; units = "input"; } );' > units.cfg
behind=(data.file=data.h5 model.file=one/model.safetensors craft.max=4)
must_fail 2 'units = input: model.contrast or model.whiten .*box = none' 1 attack units.cfg "${behind[@]}" run.dir=no
behind+=(attack=fgsm,deepfool attack.0.eps=0.1 attack.0.units=input attack.0.box=none attack.1.units=input)
must_fail 2 'craft.store: attack.0.units = input: .* no images' 1 attack "${behind[@]}" run.dir=no
must_fail 2 'units = input: .* nothing in front' 1 attack "${behind[@]}" run.dir=no craft.store=none target.levels=8
must_fail 2 'attack.0.models: .* no other network' 1 attack "${behind[@]}" run.dir=no craft.store=none \
    attack.0.models=one/model.safetensors
for ranks in 1 2; do
    must_work $ranks attack "${behind[@]}" run.dir="behind$ranks" craft.store=none craft.batch=$((3 * ranks))
done
must_equal behind1/outcomes.tsv behind2/outcomes.tsv
check "no image is stored" test ! -e behind1/adversarial.h5
check "a step of 0.1 behind the input layer" awk -F'\t' '
    NR > 1 && $1 == 0 { n++; bad += $10 < 0.0999 || $10 > 0.1001 } END { exit !(n == 4 && bad == 0) }' behind1/outcomes.tsv

# Points in units of the input: with std 0.5 a ball of 0.2 is one of 0.1 in pixels.
echo 'attack = ( { name = "fgsm"; eps = 0.1; } );' > pixel.cfg
echo 'attack = ( { name = "fgsm"; eps = 0.2; units = "input"; } );' > units.cfg
for units in pixel units; do
    must_work 1 attack $units.cfg data.file=data.h5 model.file=mean/model.safetensors \
        run.dir=$units craft.store=u8
done
check "the same outcomes in either units" cmp <(cut -f1-8 pixel/outcomes.tsv) \
    <(cut -f1-8 units/outcomes.tsv)
check "twice as far in those of the input" cmp \
    <(awk 'NR > 1 { printf "%.5f\n", 2 * $10 }' pixel/outcomes.tsv) \
    <(awk 'NR > 1 { printf "%.5f\n", $10 }' units/outcomes.tsv)
check "twenty outcomes" test "$(wc -l < units/outcomes.tsv)" -eq 21

# ---- refused ----------------------------------------------------------------------------------
must_fail 2 'model.whiten wants model.mean_image' 2 train run.dir=no "${args[@]}" model.whiten=true
must_fail 2 'model.mean and model.mean_image' 1 train run.dir=no "${args[@]}" \
    model.mean_image=true model.mean=0.5 model.std=1
must_fail 2 'model.whiten = false: one/model.safetensors has true' 1 evaluate data.file=data.h5 \
    run.dir=no model.file=one/model.safetensors model.whiten=false
must_fail 2 'model.name = convnet does not fit images of 28x28x1: .*32 to 39 pixels' 2 train \
    run.dir=no data.file=data.h5 model.name=convnet
must_fail 2 'model.name = alexnet does not fit images of 28x28x1: .*63 pixels' 1 train \
    run.dir=no data.file=data.h5 model.name=alexnet
must_fail 2 'model.depth = 29: wrn comes in depths 6n \+ 4' 1 info model.name=wrn model.depth=29
must_fail 2 'model.depth = 16: zcnn comes in one depth' 1 info model.name=zcnn model.depth=16
must_work 1 info model.name=wrn model.depth=10
must_say '^depth 10$'
