#!/usr/bin/env bash
# Model files without a description, as PyTorch writes them: what the config says takes its place,
# and the votes are those of the same network in a file of ours.
fixture=$(cd "$(dirname "$0")/../jobs" && pwd)/torch_resnet20.safetensors
source "$(dirname "$0")/lib.sh"

glyphs data.h5 200 20
network=(model.name=resnet20 model.width=0.125 model.shortcut=A model.mean=0.25 model.std=0.5
         defense=brelu defense.0.t=1.5)
must_work 2 train data.file=data.h5 run.dir=run train.steps=3 train.batch=32 train.shards=2 \
    "${network[@]}"
ours=run/model.safetensors
LC_ALL=C sed 's/"testudo"/"another"/' $ours > foreign.safetensors # the key of the description
must_differ $ours foreign.safetensors

votes=(data.file=data.h5 certify.sigma=0.25 certify.n0=20 certify.n=100 certify.max=6
       certify.hash=1)
must_work 1 certify "${votes[@]}" run.dir=ours model.file=$ours
must_work 2 certify "${votes[@]}" run.dir=foreign model.file=foreign.safetensors "${network[@]}"
must_equal ours/votes.tsv foreign/votes.tsv
must_work 2 certify "${votes[@]}" run.dir=said model.file=$ours "${network[@]}"
must_equal ours/votes.tsv said/votes.tsv

# ---- refused, on all ranks alike --------------------------------------------------------------
must_fail 2 'foreign.safetensors does not say which network it is.*model.name' 2 certify \
    "${votes[@]}" run.dir=no model.file=foreign.safetensors
must_fail 1 'foreign.safetensors: tensor conv1.weight has shape \[2,1,3,3\], the model wants' 2 \
    certify "${votes[@]}" run.dir=no model.file=foreign.safetensors "${network[@]}" model.width=1
must_fail 2 "model.name = 'lenet': .*$ours holds a resnet20" 2 certify "${votes[@]}" run.dir=no \
    model.file=$ours model.name=lenet
must_fail 2 'model.mean = \(0.5\): .* has \(0.25\)' 1 certify "${votes[@]}" run.dir=no \
    model.file=$ours model.mean=0.5 model.std=0.5

# ---- as a start for training ------------------------------------------------------------------
must_work 1 train data.file=data.h5 run.dir=more train.steps=1 train.batch=32 train.lr=0 \
    train.shards=2 model.file=foreign.safetensors "${network[@]}"
must_work 1 info model.file=more/model.safetensors
check "a foreign start keeps its input layer" grep -q '^input layer: mean 0.25, std 0.5$' out

# ---- info -------------------------------------------------------------------------------------
must_work 1 info model.file=$ours
for line in '^resnet20: ' '^shortcut A$' '^width 0.125$' '^images 28x28x1, 10 classes$' \
    '^input layer: mean 0.25, std 0.5$' '^defense brelu: t = 1.5$' '^fc.weight  *\[10,8\]  *80$'; do
    check "info prints $line" grep -Eq "$line" out
done
must_work 1 info model.file="$fixture"
for line in '^bn1.num_batches_tracked  *I64  *\[\]  *1$' '^fc.weight  *F32  *\[10,4\]  *40$' \
    '^128 tensors, 1348 numbers$' 'with model.name'; do
    check "info lists $line" grep -Eq "$line" out
done
must_work 1 info model.file="$fixture" model.name=resnet20 model.width=0.0625
check "info says what comes from the config" grep -q 'has no description' out
must_fail 1 'data.h5: no safetensors file: an HDF5 file' 1 info model.file=data.h5
