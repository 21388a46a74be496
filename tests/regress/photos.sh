#!/usr/bin/env bash
# Sets of files: import stores photographs as they are, the same bytes on any number of ranks; it can
# be stopped and killed and nothing half-written is taken for whole; what is wrong with a file is one
# line that names it. Training reads random parts, the same on any number of ranks and threads, and
# goes on where it was killed; evaluation, attacks and certificates see the middle.
source "$(dirname "$0")/lib.sh"
paint=$4 photos=$5

# Pictures of digits, 112x112, grey and larger than they are used.
glyphs glyphs.h5 20 300
i=0
for class in a b; do
    paint_with "$paint" glyphs.h5 folder/train/$class jpg $((100 * i)) 100 4
    paint_with "$paint" glyphs.h5 folder/test/$class jpg $((200 + 20 * i)) 20 4
    i=$((i + 1))
done
mv folder/test/a/000.jpg folder/test/a/000.JPEG
paint_with "$paint" glyphs.h5 one png 299 1 2
mv one/000.png folder/train/b/100.jpg # a PNG file by its bytes, as in ImageNet
from=(import import.format=folder import.store=files import.from=folder import.size=32)
must_work 1 "${from[@]}" import.out=one.h5
check "201 images to train, 40 to test" grep -q '201 train and 40 test images of 32x32x3' err
for ranks in 2 3; do
    sometimes 2 || continue
    must_work $ranks "${from[@]}" import.out=many.h5
    must_equal one.h5 many.h5
done
must_not_exist many.h5.part
check "the files are in it as they are" \
    test "$(stat -c %s one.h5)" -gt "$(cat folder/*/*/* | wc -c)"

# ---- what cannot be imported -------------------------------------------------------------------
must_fail 2 'import.size is missing' 2 "${from[@]}" import.size=0 import.out=bad.h5
must_fail 2 'format glyphs does not read a file for each image' 1 import import.format=glyphs \
    import.store=files import.size=32 import.out=bad.h5
spoil() {
    local regex=$1 ranks
    for ranks in 1 3; do
        [[ $ranks -eq 1 || $regex == *corrupt* ]] || continue
        must_fail 1 "$regex" $ranks "${from[@]}" import.out=bad.h5
        must_not_exist bad.h5
        must_not_exist bad.h5.part
    done
}
victim=folder/train/b/050.jpg
cp $victim whole.jpg
cp folder/test/b/010.jpg later.jpg
truncate -s -40 $victim
truncate -s -40 folder/test/b/010.jpg # a later one: the first is told
spoil "$victim: corrupt JPEG"
cp later.jpg folder/test/b/010.jpg
echo 'no image' > $victim
spoil "$victim: starts with neither the bytes of PNG nor of JPEG"
: > $victim
spoil "$victim: is empty"
ln -sf nowhere $victim
spoil "$victim: cannot be read"
rm $victim
mkdir folder/train/c folder/test/c
spoil 'folder/train/c: a class without images'
rmdir folder/train/c folder/test/c
cp whole.jpg $victim
must_work 1 "${from[@]}" import.out=again.h5
must_equal one.h5 again.h5

# ---- training ----------------------------------------------------------------------------------
train=(train data.file=one.h5 model.name=lenet train.batch=32 train.epochs=3
    train.area=0.2,1 train.flip=true train.lr=0.02 train.save=3)
must_work 1 "${train[@]}" run.dir=whole
check "the time that it waited is told" grep -q '^waited for data [0-9.]* % of the time' err
must_work 2 "${train[@]}" run.dir=two data.threads=2
must_equal whole/model.safetensors two/model.safetensors
if sometimes 2; then
    must_work 3 "${train[@]}" run.dir=three data.threads=5
    must_equal whole/model.safetensors three/model.safetensors
fi
kill_when '[[ -e killed/checkpoint.h5 ]]' "${train[@]}" run.dir=killed
must_work 2 "${train[@]}" run.dir=killed
must_equal whole/model.safetensors killed/model.safetensors
for other in train.area= data.size=40 data.shuffle=blocks; do
    sometimes 3 || continue
    rm -rf other
    must_work 1 "${train[@]}" run.dir=other "$other"
    must_differ whole/model.safetensors other/model.safetensors
done
# Linear scaling: the rate that it stands for.
must_work 1 "${train[@]}" run.dir=scaled train.lr=0.01 train.lr_batch=16
must_equal whole/model.safetensors scaled/model.safetensors
must_work 2 "${train[@]}" run.dir=lars train.optimizer=lars train.lr=1 train.weight_decay=1e-4 \
    train.decay=kernels train.warmup=1 defense=label_smoothing
check "LARS learns" grep -q '"epoch": 3' lars/metrics.jsonl

must_fail 2 'train.area: two numbers expected' 1 "${train[@]}" run.dir=bad train.area=0.5
must_fail 2 'train.area: a defense stacks images' 1 "${train[@]}" run.dir=bad \
    defense=gaussian defense.0.sigma=0.1 defense.0.copies=1
must_fail 2 'data.resize = 20: at least data.size = 32 is expected' 2 "${train[@]}" run.dir=bad \
    data.resize=20
must_fail 2 'data.size is for sets of files' 1 "${train[@]}" run.dir=bad data.file=glyphs.h5 \
    data.size=20
must_fail 2 'train.area: glyphs.h5 does not hold 8-bit RGB' 1 "${train[@]}" run.dir=bad \
    data.file=glyphs.h5

# ---- use ---------------------------------------------------------------------------------------
evaluate=(evaluate data.file=one.h5 model.file=whole/model.safetensors)
must_work 1 "${evaluate[@]}" run.dir=one-evaluate
must_work 2 "${evaluate[@]}" run.dir=two-evaluate
must_equal one-evaluate/evaluate.tsv two-evaluate/evaluate.tsv
attack=(attack data.file=one.h5 model.file=whole/model.safetensors attack=fgsm craft.max=6)
must_work 1 "${attack[@]}" run.dir=one-attack
must_work 2 "${attack[@]}" run.dir=two-attack
must_equal one-attack/outcomes.tsv two-attack/outcomes.tsv
certify=(certify data.file=one.h5 model.file=whole/model.safetensors certify.sigma=0.25
    certify.n=100 certify.n0=10 certify.max=4 certify.hash=1)
must_work 1 "${certify[@]}" run.dir=one-certify
must_work 3 "${certify[@]}" run.dir=two-certify
must_equal one-certify/votes.tsv two-certify/votes.tsv
# Another view is another set.
must_fail 2 'data.file: the images have the hash' 1 verify run.dir=one-certify data.file=one.h5 data.resize=48 \
    model.file=whole/model.safetensors verify.rerun=1

# A file that was spoilt after import.
cp one.h5 spoilt.h5
at=$(grep -abo $'\xff\xda' spoilt.h5 | sed -n 3p | cut -d: -f1) # where the third image begins
printf '\xff\xd9\xff\xd9\xff\xd9\xff\xd9' | dd of=spoilt.h5 bs=1 seek=$((at + 60)) conv=notrunc 2> copied
must_fail 1 'spoilt.h5: row [0-9]+ of train: corrupt JPEG' 2 "${train[@]}" run.dir=spoilt \
    data.file=spoilt.h5

# ---- photographs -------------------------------------------------------------------------------
if [[ -z ${TESTUDO_DATA:-} ]]; then
    echo "TESTUDO_DATA is not set: no photographs"
    exit
fi
number=500
[[ $mode != brief ]] || number=300
paint_with "$photos" "$TESTUDO_DATA/imagenet-sample" photographs $number 50
from+=(import.from=photographs import.size=224)
must_work 1 "${from[@]}" import.out=photographs.h5
must_work 2 "${from[@]}" import.out=many.h5
must_equal photographs.h5 many.h5
train=(train data.file=photographs.h5 data.size=64 model.name=resnet20 train.batch=16
    train.area=0.08,1 train.steps=3)
must_work 1 "${train[@]}" run.dir=small data.shuffle=blocks
must_work 2 "${train[@]}" run.dir=large data.shuffle=blocks data.threads=2
must_equal small/model.safetensors large/model.safetensors

# Killed while it imports: no set, and the next one is whole. Stopped: it goes on from there, on another
# number of ranks; or afresh, where something else is asked for.
rm many.h5
kill_when '[[ -s many.h5.part ]]' "${from[@]}" import.out=many.h5
must_not_exist many.h5
must_work 2 "${from[@]}" import.out=many.h5
must_equal photographs.h5 many.h5
# stop_import: leaves many.h5.part.
stop_import() {
    rm -f many.h5
    "$testudo" "${from[@]}" import.out=many.h5 > out 2> err &
    said="import (USR1)"
    until [[ -e many.h5.part ]] || ! kill -0 $!; do
        sleep 0.02
    done
    kill -USR1 $!
    wait $!
    code=$?
    must_have_failed 3 'stopped as asked'
    must_not_exist many.h5
    must_exist many.h5.part.state
}
stop_import
must_work 2 "${from[@]}" import.out=many.h5
check "it goes on" grep -Eq '^resume: image [1-9][0-9]* of ' err
must_equal photographs.h5 many.h5
must_not_exist many.h5.part.state
stop_import
must_work 3 "${from[@]}" import.size=200 import.out=many.h5
check "it does not go on" test "$(grep -c '^resume' err)" -eq 0
must_work 1 "${from[@]}" import.size=200 import.out=other.h5
must_equal other.h5 many.h5
