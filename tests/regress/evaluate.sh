#!/usr/bin/env bash
# Accuracy of clean images: the same bytes for any number of ranks and any batch, and the same
# counts as two other ways to the class of each image.
source "$(dirname "$0")/lib.sh"

# evaluate <name> <ranks> <settings...>
evaluate() {
    local name=$1 ranks=$2
    shift 2
    must_work "$ranks" evaluate run.dir="$name" data.file=glyphs.h5 \
        model.file="$model/model.safetensors" "$@"
}

# same <name> <ranks> <settings...>: as `one`, byte by byte.
same() {
    sometimes 3 || return
    evaluate "$@"
    must_equal one/evaluate.tsv "$1/evaluate.tsv"
    must_equal one/evaluate.json "$1/evaluate.json"
}

# sum <file> <column>: of a table, without its header.
sum() {
    awk -F '\t' -v c="$2" 'NR > 1 { s += $c } END { print s + 0 }' "$1"
}

glyphs glyphs.h5 600 150
must_work 2 train run.dir=zcnn data.file=glyphs.h5 model.name=zcnn train.epochs=4 \
    train.batch=30 train.lr=0.02
must_work 2 train run.dir=resnet20 data.file=glyphs.h5 model.name=resnet20 train.epochs=1

for model in resnet20 zcnn; do
    rm -rf one two three four small
    evaluate one 1
    same two 2
    same three 3 evaluate.batch=17
    same four 4 evaluate.batch=100
    same small 1 evaluate.batch=1
done

# The table adds up, and the network learned something.
evaluate again 1
must_say 'accuracy +[0-9.]+ %  \([0-9]+ of 150\)'
must_say '^top 5 '
must_say '^loss '
check "ten classes and their sum" test "$(wc -l < one/evaluate.tsv)" -eq 12
read -r _ support correct accuracy top5 < <(tail -n 1 one/evaluate.tsv)
check "150 images" test "$support" -eq 150
for column in 2 3 5; do
    check "column $column: the classes add up to the total" test \
        "$(sum one/evaluate.tsv $column)" -eq $((2 * $(tail -n 1 one/evaluate.tsv | cut -f $column)))
done
check "better than chance: $correct of 150, top 5 $top5" test "$correct" -gt 60 -a \
    "$top5" -ge "$correct" -a "$correct" -lt 150
check "accuracy is correct / support" test "$accuracy" = \
    "$(awk -v c="$correct" 'BEGIN { printf "%.6f", c / 150 }')"
check "evaluate.json has the loss" grep -Eq '"loss": [0-9]+\.[0-9]+' one/evaluate.json

# The same network through the votes of a certification, with noise too small to change a pixel.
must_work 2 certify run.dir=votes data.file=glyphs.h5 model.file=zcnn/model.safetensors \
    certify.sigma=1e-4 certify.n0=1 certify.n=10
check "as many are correct by votes" test "$(sum votes/certify.tsv 5)" -eq "$correct"
# Image by image, from predict.
must_work 3 predict run.dir=each data.file=glyphs.h5 model.file=zcnn/model.safetensors
check "the predictions have as many that are correct" test "$(sum each/predict.tsv 5)" -eq \
    "$correct"
check "and predict says so" grep -q "^correct $correct of 150" out
join -t '	' <(awk -F '\t' 'NR > 1 { print $1 "\t" $3 }' votes/certify.tsv | sort) \
    <(awk -F '\t' 'NR > 1 { print $1 "\t" $4 }' each/predict.tsv | sort) > classes
check "150 classes are compared" test "$(wc -l < classes)" -eq 150
check "each image has the class of its votes" awk -F '\t' '$2 != $3 { exit 1 }' classes

# A part of the images; the training images.
evaluate part 2 evaluate.skip=7 evaluate.max=11
check "11 images" test "$(tail -n 1 part/evaluate.tsv | cut -f 2)" -eq 11
want=$(awk -F '\t' 'NR > 1 && $1 % 7 == 0 && $1 < 77 { s += $5 } END { print s }' each/predict.tsv)
check "$want of them are correct" test "$(tail -n 1 part/evaluate.tsv | cut -f 3)" -eq "$want"
evaluate train 2 data.split=train
check "600 training images" test "$(tail -n 1 train/evaluate.tsv | cut -f 2)" -eq 600

# Two classes have no top 5.
must_work 1 import import.format=moons import.out=moons.h5
must_work 1 train run.dir=moons data.file=moons.h5 model.name=mlp train.epochs=1
must_work 2 evaluate run.dir=moons data.file=moons.h5
check "no top 5 of two classes" test "$(cut -f 5 moons/evaluate.tsv | sort -u | tr '\n' ' ')" = \
    '- top5 '

# ---- errors -------------------------------------------------------------------------------------
must_fail 2 'run.dir = one holds results already' 2 evaluate run.dir=one data.file=glyphs.h5
must_fail 1 'new/model.safetensors' 3 evaluate run.dir=new data.file=glyphs.h5
must_fail 2 'data.file is missing' 1 evaluate run.dir=new
must_fail 2 'val: glyphs.h5 has no such images' 2 evaluate run.dir=new data.file=glyphs.h5 \
    model.file=zcnn/model.safetensors data.split=val
must_not_exist new/evaluate.tsv
must_not_exist new/evaluate.json
