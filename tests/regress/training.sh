#!/usr/bin/env bash
# Training as the papers do it: everything that acts over epochs (schedules, stages, validation,
# patience, the kept weights) or changes images gives the same bytes on any number of ranks and
# after a stop and a resume anywhere.
source "$(dirname "$0")/lib.sh"

if [[ $mode == brief ]]; then
    glyphs glyphs.h5 500 100
else
    glyphs glyphs.h5 1000 200
fi
base=(train data.file=glyphs.h5 train.batch=64 train.lr=0.02)

# field <run> <epoch> <name>: a number of metrics.jsonl.
field() {
    grep -oP "\"epoch\": $2,.*\"$3\": \K[-+.e0-9]+" "$1/metrics.jsonl"
}

# some_stored <run>: what was written about its epochs is more than a line.
some_stored() {
    [[ $(stat -c %s "$1/metrics.jsonl" 2> /dev/null || echo 0) -ge 100 ]]
}

# survives <name> <arguments...>: 2 ranks at one go; 1 rank; and stopped in the middle of an epoch
# and at the end of one, each time going on with another number of ranks.
survives() {
    local name=$1
    shift
    must_work 2 "${base[@]}" "$@" run.dir="$name"
    if sometimes 2; then
        must_work 1 "${base[@]}" "$@" run.dir="$name.1"
        must_equal "$name/model.safetensors" "$name.1/model.safetensors"
    fi
    kill_when "some_stored '$name.2'" "${base[@]}" "$@" run.dir="$name.2" train.save=1
    must_work 3 "${base[@]}" "$@" run.dir="$name.2" train.save=1
    check "$name: goes on" grep -q '^resume' err
    must_equal "$name/model.safetensors" "$name.2/model.safetensors"
    must_equal "$name/metrics.jsonl" "$name.2/metrics.jsonl"
    must_equal "$name/checkpoint.h5" "$name.2/checkpoint.h5"
}

survives adam model.name=mlp train.optimizer=adam train.lr=0.003 train.epochs=6 train.val_share=0.1 \
    train.keep=best train.metric=val_loss train.schedule=cosine train.warmup=1 train.dropout=0.3 \
    train.decay=kernels train.weight_decay=0.001
survives sgd model.name=lenet train.nesterov=1 train.epochs=6 train.crop=3 train.flip=1 \
    train.milestones=2,4 train.schedule=multistep train.reset=1 train.reload=1 train.keep=best \
    train.metric=loss train.clip=1 defense=gaussian train.val_file=glyphs.h5 train.val_split=test

# The rate is what was asked for.
check "warm-up reaches the rate" [ "$(field adam 1 rate)" = 0.003 ]
check "two milestones" [ "$(field sgd 5 rate)" = 0.0002 ]
check "a cosine comes down" awk -v r="$(field adam 6 rate)" 'BEGIN { exit !(r < 0.0001) }'

# A rate of nearly nothing never gets better: patience ends it, the plateau cuts before that.
must_work 1 "${base[@]}" model.name=mlp train.lr=1e-12 train.epochs=50 train.val_share=0.1 \
    train.val_rows=last train.schedule=plateau train.plateau=2 train.patience=5 run.dir=flat
check "patience ends the training" [ "$(wc -l < flat/metrics.jsonl)" = 6 ]
check "a plateau cuts the rate" [ "$(field flat 6 rate)" = 1e-14 ]
must_work 2 "${base[@]}" model.name=mlp train.lr=1e-12 train.epochs=50 train.val_share=0.1 \
    train.val_rows=last train.schedule=plateau train.plateau=2 train.patience=5 run.dir=flat2 \
    train.save=7
must_equal flat/metrics.jsonl flat2/metrics.jsonl

# Best and worst are not the same; the best epoch of a training loss is the last.
worst=("${base[@]}" model.name=mlp train.epochs=3 train.metric=loss)
must_work 1 "${worst[@]}" train.keep=worst run.dir=worst
must_work 1 "${worst[@]}" train.keep=best run.dir=best
must_work 1 "${worst[@]}" run.dir=last
must_work 1 "${worst[@]}" train.epochs=1 run.dir=first
must_equal best/model.safetensors last/model.safetensors
must_equal worst/model.safetensors first/model.safetensors

# Some of the images: the others do not matter.
must_work 1 "${base[@]}" model.name=mlp train.images=100 train.val_share=0.1 run.dir=some
check "90 images" grep -q '90 images, batch 64' err
must_work 2 "${base[@]}" model.name=mlp train.images=100 train.val_share=0.1 run.dir=some2
must_equal some/model.safetensors some2/model.safetensors

# Starting from a model file goes on from its weights.
must_work 1 "${base[@]}" train.epochs=1 model.file=last/model.safetensors run.dir=more
check "a started training begins where the other ended" awk -v a="$(field last 3 loss)" \
    -v b="$(field more 1 loss)" 'BEGIN { exit !(b < a) }'
must_fail 2 'model.name' 1 "${base[@]}" model.name=lenet model.file=last/model.safetensors run.dir=no

# What cannot be is said.
must_fail 2 'train.metric = val_accuracy, but nothing is validated' 1 "${base[@]}" model.name=mlp \
    train.keep=best run.dir=no1
must_fail 2 'train.milestones is empty' 1 "${base[@]}" model.name=mlp train.schedule=multistep \
    run.dir=no2
must_fail 2 'train.keep = best expected' 2 "${base[@]}" model.name=mlp train.reload=1 \
    train.milestones=1 run.dir=no3
must_fail 2 'train.dropout = 0.5: zcnn has no dropout' 2 "${base[@]}" model.name=zcnn \
    train.dropout=0.5 run.dir=no4
must_fail 2 'train.val_share' 1 "${base[@]}" model.name=mlp train.val_share=0.0001 run.dir=no5

# A loss that is no number ends the training with step and batch; the newest checkpoint is good.
run 2 "${base[@]}" model.name=mlp train.lr=1000 train.epochs=3 train.save=1 run.dir=nan
check "exit code 1" [ "$code" = 1 ]
check "one line names step, epoch and batch" \
    grep -qE 'step [0-9]+ \(epoch 1, batch [0-9]+\)|parameter .* (nan|inf)' err
cp nan/checkpoint.h5 good.h5
run 1 "${base[@]}" model.name=mlp train.lr=1000 train.epochs=3 train.save=1 run.dir=nan
check "it goes on from the last good checkpoint" grep -q '^resume' err
must_equal good.h5 nan/checkpoint.h5
