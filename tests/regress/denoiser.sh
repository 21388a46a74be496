#!/usr/bin/env bash
# Denoisers: trained on pairs to the same bytes on any number of ranks, after a kill, and with
# checkpointing; in front of networks that are attacked, evaluated, asked and certified; ensembles; what is
# refused.
source "$(dirname "$0")/lib.sh"

glyphs g.h5 160 40
must_work 1 import import.format=moons import.out=m.h5 import.train=32 import.test=8
# The guide, another classifier, and what attacks make of training images; one is for other images.
must_work 2 train run.dir=guide data.file=g.h5 model.name=lenet train.epochs=10 train.batch=32
must_work 2 train run.dir=other data.file=g.h5 model.name=mlp train.epochs=10 train.batch=32
must_work 1 train run.dir=moons data.file=m.h5 model.name=mlp train.steps=2
craft=(attack data.file=g.h5 data.split=train)
must_work 2 "${craft[@]}" run.dir=first model.file=guide/model.safetensors attack=clean,random_noise,ifgsm \
    attack.1.eps=0.2 attack.2.eps=0.2
must_work 2 "${craft[@]}" run.dir=second model.file=other/model.safetensors attack=fgsm attack.0.eps=0.2
sets=defense.0.sets=first/adversarial.h5,second/adversarial.h5

# denoiser <directory> <ranks> <arguments...>; with more rows of defense in $more.
more=
train=(train data.file=g.h5 model.name=dunet model.width=0.0625 train.batch=30 train.epochs=2
    train.optimizer=adam train.lr=0.01 train.val_share=0.2 train.crop=2 train.flip=true)
denoiser() {
    must_work "$2" "${train[@]}" run.dir="$1" defense=guided_denoiser$more defense.0.guide=guide $sets "${@:3}"
}
# same <directory> <ranks> <arguments...>: trained again, it has the same bytes.
same() {
    denoiser again "${@:2}"
    must_equal "$1/model.safetensors" again/model.safetensors
    must_equal "$1/metrics.jsonl" again/metrics.jsonl
    rm -rf again
}

for loss in pixel feature logits class; do
    denoiser $loss 1 defense.0.loss=$loss
    check "512 pairs, 128 held out" grep -q '512 images' err
    check "$loss is validated by loss and class" test "$(grep -c '"val_loss".*"val_accuracy"' $loss/metrics.jsonl)" -eq 2
    sometimes 4 || continue
    same $loss 3 defense.0.loss=$loss
done
check "pixels are compared without classes" test "$(grep -c '"accuracy"' pixel/metrics.jsonl)" -eq 0
must_differ pixel/model.safetensors feature/model.safetensors
must_differ feature/model.safetensors logits/model.safetensors
must_differ logits/model.safetensors class/model.safetensors
if [[ $mode != brief ]]; then
    same feature 2 defense.0.loss=feature
    same feature 4 defense.0.loss=feature train.checkpoint=4
    same feature 1 defense.0.loss=feature defense.0.tap=features
    denoiser tapped 1 defense.0.loss=feature defense.0.tap=conv1
    must_differ feature/model.safetensors tapped/model.safetensors
    more=,gaussian denoiser shifted 2 defense.0.loss=logits defense.1.sigma=0.1 # noise on the attacked image
    must_differ logits/model.safetensors shifted/model.safetensors
fi
# Without some classes, which is a run of its own; on any ranks.
denoiser some 1 defense.0.loss=class defense.0.classes=0,1,2,3,4
check "half of the pairs" grep -q '252 images' err
must_differ some/model.safetensors class/model.safetensors
same some 3 defense.0.loss=class defense.0.classes=0,1,2,3,4
# pixel needs no guide; then validation is without classes. dae is a denoiser, too.
must_work 2 "${train[@]}" run.dir=alone defense=guided_denoiser defense.0.loss=pixel $sets train.steps=3 model.name=dae
check "no guide, no classes" test "$(grep -c accuracy alone/metrics.jsonl)" -eq 0

resumed=("${train[@]}" run.dir=killed train.save=2 defense=guided_denoiser)
# After a kill; guide and sets are known by their content, not by where they lie.
kill_when '[[ -e killed/checkpoint.h5 ]]' "${resumed[@]}" defense.0.guide=guide $sets
must_not_exist killed/model.safetensors
must_fail 2 'of a run with other settings' 1 "${resumed[@]}" $sets defense.0.guide=other
must_fail 2 'of a run with other settings' 1 "${resumed[@]}" defense.0.guide=guide \
    defense.0.sets=second/adversarial.h5,first/adversarial.h5
mv guide moved
mv first crafted
must_work 3 "${resumed[@]}" defense.0.guide=moved \
    defense.0.sets=crafted/adversarial.h5,second/adversarial.h5
check "it goes on" grep -q '^resume' err
must_equal logits/model.safetensors killed/model.safetensors
mv moved guide
mv crafted first

denoiser strong 2 defense.0.loss=class train.epochs=8 train.val_share=0 train.crop=0 train.flip=false
# In use: the adaptive attack goes through the denoiser, the oblivious one is made on the bare network.
attack=(data.file=g.h5 model.file=guide/model.safetensors attack=clean,pgd attack.1.eps=0.2 attack.1.steps=10 craft.store=none)
must_work 1 attack run.dir=bare "${attack[@]}"
must_work 1 attack run.dir=adaptive "${attack[@]}" model.denoiser=strong
must_work 1 attack run.dir=oblivious "${attack[@]}" model.denoiser=strong attack.1.models=guide
must_work 3 attack run.dir=adaptive3 "${attack[@]}" model.denoiser=strong/model.safetensors craft.batch=3
must_equal adaptive/outcomes.tsv adaptive3/outcomes.tsv
must_work 1 attack run.dir=twice "${attack[@]}" model.denoiser=strong model.denoise=2 attack.1.models=guide
must_differ oblivious/outcomes.tsv twice/outcomes.tsv
# right <directory>: images that the second attack left right.
right() {
    awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) c[$i] = i; next }
                $c["attack"] == 1 { n += $c["predict"] == $c["label"] }
                END { print n + 0 }' "$1/outcomes.tsv"
}
echo "right: bare $(right bare), oblivious $(right oblivious), adaptive $(right adaptive)" >> log
check "the oblivious attack is weaker than the bare one" test "$(right oblivious)" -gt "$(right bare)"
check "the adaptive attack is stronger than the oblivious one" test "$(right adaptive)" -lt "$(right oblivious)"
hash=$(grep -o '"denoiser": "[0-9a-f]*"' adaptive/attack.json)
check "attack.json and run.json name the denoiser" grep -q "$hash" adaptive/run.json
must_work 1 info model.file=guide/model.safetensors model.denoiser=strong model.denoise=2
hash=${hash#*: \"}
must_say "denoiser in front: dunet, width 0.0625, strength 2, .* hash ${hash%\"}"

# On another classifier than its guide; by votes, on any number of ranks.
for ranks in 1 3; do
    must_work $ranks evaluate run.dir=transfer$ranks data.file=g.h5 model.file=other/model.safetensors model.denoiser=strong
    must_work $ranks certify run.dir=transfer$ranks data.file=g.h5 model.file=other/model.safetensors model.denoiser=strong \
        certify.sigma=0.2 certify.n=100 certify.n0=10 certify.max=4 certify.hash=true certify.batch=$((3 * ranks))
done
must_equal transfer1/evaluate.tsv transfer3/evaluate.tsv
must_equal transfer1/votes.tsv transfer3/votes.tsv
must_fail 2 'about other settings|has another "network"' 1 evaluate run.dir=transfer1 data.file=g.h5 \
    model.file=other/model.safetensors model.denoiser=logits evaluate.sensitivity=true

# Members: the mean of their logits, everywhere.
members="model.members=strong>guide,logits>other"
for ranks in 1 3; do
    must_work $ranks evaluate run.dir=members$ranks data.file=g.h5 "$members" evaluate.batch=$((7 * ranks))
done
must_equal members1/evaluate.tsv members3/evaluate.tsv
must_work 2 predict run.dir=members1 data.file=g.h5 "$members"
correct=$(awk -F'\t' '$1 == "total" { print $3 }' members1/evaluate.tsv)
must_say "correct $correct of 40"
must_work 1 attack run.dir=members1 data.file=g.h5 "$members" attack=clean,pgd attack.1.eps=0.1 attack.1.steps=3 \
    attack.1.models="logits>guide,other" craft.max=8
check "attack.json names the second member" grep -q '"member 1": ' members1/attack.json
must_work 1 evaluate run.dir=single data.file=g.h5 model.members=guide
must_work 1 evaluate run.dir=plain data.file=g.h5 model.file=guide/model.safetensors
must_equal single/evaluate.tsv plain/evaluate.tsv
must_equal single/evaluate.json plain/evaluate.json

# What is refused, in one line.
refuse() {
    must_fail 2 "$1" 1 "${train[@]}" run.dir=bad defense=guided_denoiser$more defense.0.guide=guide $sets "${@:2}"
}
refuse 'defense.0 \(guided_denoiser\) trains a denoiser, model.name = lenet gives classes' model.name=lenet model.width=1
must_fail 2 'model.name = dunet gives images, not classes' 1 train run.dir=bad data.file=g.h5 model.name=dunet
refuse 'missing sets: defense.0.sets' defense.0.sets=
refuse 'defense.0.classes = 1-3: whole numbers' defense.0.classes=1-3
# Ten times a class of 16 images: as many as there are images, but not these.
must_work 1 "${craft[@]}" run.dir=mixed model.file=guide/model.safetensors craft.classes=1 \
    attack=clean,clean,clean,clean,clean,clean,clean,clean,clean,clean
refuse 'mixed/adversarial.h5 holds 160 images of 160 in layers that are not full, or mixed' defense.0.sets=mixed/adversarial.h5
refuse 'missing guide: defense.0.guide' defense.0.guide=
refuse 'defense.0.sets, number 0 is not there: nowhere.h5' defense.0.sets=nowhere.h5
refuse 'defense.0.guide = guide,other: one network expected' defense.0.guide=guide,other
refuse 'is for images of 1x2x1 in 2 classes, data.file has 28x28x1 in 10|is for images of 1x1x2' defense.0.guide=moons
refuse 'tap = nowhere is no place of lenet' defense.0.loss=feature defense.0.tap=nowhere
refuse 'train.val_file: a denoiser is validated on rows of its sets' train.val_share=0 train.val_file=g.h5
refuse 'train.metric = accuracy, but nothing is classified there' defense.0.loss=pixel train.metric=accuracy train.keep=best
more=,static_set refuse 'defense.1 \(static_set\) stacks training images'
more=,label_smoothing refuse 'defense.1 \(label_smoothing\) changes labels'
more=,input_gradient refuse 'defense.1 \(input_gradient\) adds a penalty'
more=,trades refuse 'both own the loss'
in_front() {
    must_fail 2 "$1" 1 evaluate run.dir=bad data.file=g.h5 "${@:2}"
}
in_front 'model.denoiser = other holds a mlp, which gives classes' model.file=guide/model.safetensors model.denoiser=other
must_fail 2 'model.denoiser = strong is for images of 28x28x1, the classifier for 1x1x2|the classifier for 1x2x1' 1 \
    evaluate run.dir=bad data.file=m.h5 model.file=moons/model.safetensors model.denoiser=strong
in_front 'model.denoise = 2, but there is no denoiser' model.file=guide/model.safetensors model.denoise=2
in_front 'model.members and model.file are both given' model.file=guide/model.safetensors model.members=other
in_front 'is for images of 1x1x2 in 2 classes|in 2 classes, the first member' model.members=guide,moons
