#!/usr/bin/env bash
# Certificates of networks with randomness inside: the same votes and logits for any number of ranks
# and any batch; what stands for the noise on pixels; what is refused.
source "$(dirname "$0")/lib.sh"

glyphs g.h5 320 40
few=(data.file=g.h5 certify.n0=10 certify.n=120 certify.max=4 certify.hash=1)

# net <directory> <arguments...>: a small network, trained for a moment.
net() {
    must_work 2 train run.dir="$1" data.file=g.h5 model.name=zcnn train.steps=20 train.batch=32 train.lr=0.02 "${@:2}"
}

# votes <directory> <ranks> <arguments...>: a certification in a directory of its own, which it names.
votes() {
    must_work "$2" certify run.dir="$1" "${few[@]}" "${@:3}"
}

rse=(defense=rse defense.0.sigma_init=0.25 defense.0.sigma_inner=0.125)
net rse "${rse[@]}"
net pni defense=pni
net inputs defense=pni defense.0.on=inputs
net cni defense=cni train.clip=1
net outputs defense=cni defense.0.on=outputs defense.0.linear=plain

# ---- ranks and batches ---------------------------------------------------------------------------
for kind in rse pni inputs cni outputs; do
    votes $kind.1 1 model.file=$kind/model.safetensors certify.sigma=0.25
    for ranks in 2 3 4; do
        sometimes 4 || continue
        votes $kind.$ranks $ranks model.file=$kind/model.safetensors certify.sigma=0.25 \
            certify.batch=$((11 * ranks - 21))
        must_equal $kind.1/votes.tsv $kind.$ranks/votes.tsv
    done
done
votes pni.seed 1 model.file=pni/model.safetensors certify.sigma=0.25 run.seed=2
must_differ pni.1/votes.tsv pni.seed/votes.tsv

# ---- the noise on pixels -------------------------------------------------------------------------
# with <directory> <key> <old> <new>: the network with another option of as many characters.
with() {
    mkdir -p "$1"
    sed "s/\(\\\\\"$2\\\\\": *\)$3/\1$4/" "${5:-rse}/model.safetensors" > "$1/model.safetensors"
    must_differ "${5:-rse}/model.safetensors" "$1/model.safetensors"
}

with first_off sigma_init 0.25 0.00
with inner_off sigma_inner 0.125 0.000
for kind in first_off inner_off; do
    votes $kind.1 2 model.file=$kind/model.safetensors certify.sigma=0.25
done
must_equal rse.1/votes.tsv first_off.1/votes.tsv   # sigma takes the first layer's place,
must_differ rse.1/votes.tsv inner_off.1/votes.tsv  # the others stay on
must_work 1 certify run.dir=say "${few[@]}" model.file=rse/model.safetensors certify.sigma=0.25
check "it says so" grep -q '^rse: its first noise layer is the noise on pixels, certify.sigma = 0.25' err
must_fail 2 'certify.sigma = 0.3: the first noise layer of .* certify.sigma = 0.25 expected' 2 certify \
    run.dir=new "${few[@]}" model.file=rse/model.safetensors certify.sigma=0.3
must_not_exist new/votes.tsv
must_fail 2 'predict.sigma = 0.2: .* predict.sigma = 0.25 expected' 1 predict run.dir=new data.file=g.h5 \
    predict.n=100 model.file=rse/model.safetensors predict.sigma=0.2
for kind in rse first_off; do
    must_work 1 predict run.dir=$kind.predict data.file=g.h5 predict.n=100 predict.max=4 predict.hash=1 \
        model.file=$kind/model.safetensors predict.sigma=0.25
done
must_equal rse.predict/predict.tsv first_off.predict/predict.tsv

# Behind an input layer, or by another law, the first layer is inner randomness: it stays on, and sigma is
# free.
net mean "${rse[@]}" model.mean=0.3 model.std=0.5
net bernoulli "${rse[@]}" defense.0.law=bernoulli_gaussian
net one "${rse[@]}" model.mean=0 model.std=1 # an input layer that does nothing
for kind in mean bernoulli; do
    with $kind.off sigma_init 0.25 0.00 $kind
    for file in $kind $kind.off; do
        votes $file.1 1 model.file=$file/model.safetensors certify.sigma=0.3
    done
    must_differ $kind.1/votes.tsv $kind.off.1/votes.tsv
done
must_work 1 certify run.dir=mean.say "${few[@]}" model.file=mean/model.safetensors certify.sigma=0.3
check "it says so" grep -q '^rse: its first noise layer is behind an input layer.* stays on' err
must_fail 2 'certify.sigma = 0.25 expected' 1 certify run.dir=new "${few[@]}" model.file=one/model.safetensors \
    certify.sigma=0.3
# The authors' place for sigma_init is the second convolution.
net second "${rse[@]}" defense.0.init=second
must_fail 2 'certify.sigma = 0.125 expected' 1 certify run.dir=new "${few[@]}" \
    model.file=second/model.safetensors certify.sigma=0.25

# ---- no radius -----------------------------------------------------------------------------------
for kind in rse pni; do
    must_fail 2 'certify.sigma is 0, expected a number from 0.0001' 2 certify run.dir=new "${few[@]}" \
        model.file=$kind/model.safetensors certify.sigma=0
    must_fail 2 'certify.sigma' 1 certify run.dir=new "${few[@]}" model.file=$kind/model.safetensors
done
must_fail 2 'noise.share = batch: votes of an image want draws of their own' 2 certify run.dir=new "${few[@]}" \
    model.file=pni/model.safetensors certify.sigma=0.25 noise.share=batch
must_not_exist new/votes.tsv
