#!/usr/bin/env bash
# What goes wrong is said in one clear line, with the right exit code, the same on one rank and
# on several; nothing half-written stays, and what was there is not touched.
source "$(dirname "$0")/lib.sh"

# refuses <code> <regex> <arguments...>: on one rank and on three. When brief, one in three.
asked=0
refuses() {
    local code=$1 regex=$2
    shift 2
    asked=$((asked + 1))
    [[ $mode != brief || $((asked % 3)) -eq 0 ]] || return
    must_fail "$code" "$regex" 1 "$@"
    sometimes 5 && must_fail "$code" "$regex" 3 "$@"
    check "no result after: $*" no_result
}

no_result() {
    [[ -z $(find new ./*.h5 -name '*.tsv' -o -name '*.safetensors' -o -name 'bad*.h5' -o \
        -name '*.tmp*' 2> /dev/null) ]]
}

glyphs glyphs.h5 40 4
must_work 1 train run.dir=good data.file=glyphs.h5 model.name=zcnn train.batch=20
model=good/model.safetensors
train=(train run.dir=new data.file=glyphs.h5 model.name=zcnn)
certify=(certify run.dir=new data.file=glyphs.h5 certify.sigma=0.5 certify.n=20 certify.n0=5)
import=(import import.out=bad.h5)

# ---- the command line and the config --------------------------------------------------------
refuses 2 'usage: testudo <job>'
refuses 2 "'trian', did you mean 'train'" trian
refuses 2 "'train.epocs', did you mean 'train.epochs'" "${train[@]}" train.epocs=3
refuses 2 'train.batch' "${train[@]}" train.batch=0
refuses 2 'run.dir is missing' train data.file=glyphs.h5 model.name=zcnn
refuses 2 'model.name is missing' train run.dir=new data.file=glyphs.h5
refuses 2 'one argument too many' train one.cfg two.cfg
refuses 2 "'zcn' is no architecture, did you mean 'zcnn'" "${train[@]}" model.name=zcn
refuses 2 "'glyph' is no format, did you mean 'glyphs'" "${import[@]}" import.format=glyph
refuses 2 "gausian.*did you mean 'gaussian'" "${train[@]}" defense=gausian
refuses 2 'sigma' "${train[@]}" defense=gaussian defense.0.sigma=-1
refuses 2 "'cohn' is none" "${certify[@]}" model.file=$model certify.certifier=cohn
refuses 2 'certify.sigma is missing' certify run.dir=new data.file=glyphs.h5
refuses 2 'certify.n = 9 .*smallest n that can is 10' "${certify[@]}" certify.n=9
refuses 2 'smallest n that can is 20' "${certify[@]}" certify.n=19 certify.alpha=1e-6
must_not_exist new/votes.tsv
refuses 1 'nowhere.cfg: cannot be opened' train nowhere.cfg
printf 'run = { dir = "new"; seed = ; };\n' > broken.cfg
refuses 2 'broken.cfg.*1' train broken.cfg
printf 'run = { dir = "new"; };\ntrain = { lr = "fast"; };\n' > typed.cfg
refuses 2 'train.lr' train typed.cfg data.file=glyphs.h5 model.name=zcnn

# ---- files to import -------------------------------------------------------------------------
# idx <directory> <images in each file>: a good data set of 4x4 images.
idx() {
    local part n=$2
    mkdir -p "$1"
    for part in train t10k; do
        { printf '\0\0\010\003\0\0\0%b\0\0\0\004\0\0\0\004' "\\0$(printf %o "$n")"
          head -c $((16 * n)) /dev/zero; } > "$1/$part-images-idx3-ubyte"
        { printf '\0\0\010\001\0\0\0%b' "\\0$(printf %o "$n")"
          head -c "$n" /dev/zero; } > "$1/$part-labels-idx1-ubyte"
    done
}

idx idx 6
must_work 3 import import.format=idx import.from=idx import.out=small.h5
import+=(import.format=idx import.from=idx)
refuses 1 'nowhere' "${import[@]}" import.from=nowhere
cp -r idx cut
truncate -s -1 cut/train-images-idx3-ubyte
refuses 1 'cut/train-images.*truncated' "${import[@]}" import.from=cut
cp -r idx magic
printf '\0\0\015' | dd of=magic/t10k-images-idx3-ubyte conv=notrunc status=none
refuses 1 'magic/t10k-images.*magic' "${import[@]}" import.from=magic
cp -r idx zip
gzip zip/train-images-idx3-ubyte
printf '\377' | dd of=zip/train-images-idx3-ubyte.gz bs=1 seek=45 conv=notrunc status=none
refuses 1 'zip/train-images.*gzip' "${import[@]}" import.from=zip

# ---- the data set ----------------------------------------------------------------------------
refuses 1 'nowhere.h5' "${train[@]}" data.file=nowhere.h5
head -c 5000 glyphs.h5 > short.h5
refuses 1 'short.h5' "${train[@]}" data.file=short.h5
refuses 1 'idx/train' "${train[@]}" data.file=idx/train-labels-idx1-ubyte
refuses 2 'model.name = lenet does not fit images of 4x4x1' "${train[@]}" data.file=small.h5 \
    model.name=lenet
refuses 2 'val: glyphs.h5 has no such images' "${certify[@]}" model.file=$model data.split=val

head -c 0 glyphs.h5 > empty.h5
refuses 1 'empty.h5: not an HDF5 file' "${train[@]}" data.file=empty.h5
refuses 1 'checkpoint.h5: root attribute format is "testudo-checkpoint-1"' "${train[@]}" data.file=good/checkpoint.h5

# A file that others made, with labels that its classes do not have. Where a label lies in the file
# is seen from two that differ in it.
idx twenty 20
must_work 1 import import.format=idx import.from=twenty import.out=twenty.h5
must_work 1 train run.dir=mlp data.file=twenty.h5 model.name=mlp train.batch=5 train.epochs=1
poke() { # <file> <offset> <bytes for printf>
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
label_at() { # <train|t10k> <row>: sets $at
    cp -r twenty other
    poke "other/$1-labels-idx1-ubyte" $((8 + $2)) '\011'
    must_work 1 import import.format=idx import.from=other import.out=other.h5
    at=$(cmp -l twenty.h5 other.h5 | awk '$2 == 0 && $3 == 11 { print $1 - 1 }')
    check "the place of a label is found" test "$(wc -w <<< "$at")" -eq 1
    rm -r other
}
label_at train 13
cp twenty.h5 ten.h5
poke ten.h5 "$at" '\012'
refuses 1 'ten.h5: /train/y is 10 in row 13, 0 to 9 is expected' train run.dir=new \
    data.file=ten.h5 model.name=mlp train.batch=5 train.epochs=1
cp twenty.h5 minus.h5
poke minus.h5 "$at" '\377\377\377\377'
refuses 1 'minus.h5: /train/y is -1 in row 13, 0 to 9 is expected' train run.dir=new \
    data.file=minus.h5 model.name=mlp train.batch=5 train.epochs=1
label_at t10k 16
cp twenty.h5 ten.h5
poke ten.h5 "$at" '\012'
use=(run.dir=new data.file=ten.h5 model.file=mlp/model.safetensors)
refuses 1 'ten.h5: /test/y is 10 in row 16, 0 to 9 is expected' certify "${use[@]}" \
    certify.sigma=0.5 certify.n=20 certify.n0=5 certify.skip=4
refuses 1 'ten.h5: /test/y is 10 in row 16, 0 to 9 is expected' evaluate "${use[@]}"

# ---- the model file --------------------------------------------------------------------------
refuses 1 'new/model.safetensors' "${certify[@]}"
refuses 2 '28x28x1 .*4x4x1' "${certify[@]}" model.file=$model data.file=small.h5
head -c 3000 $model > cut.safetensors
refuses 1 'cut.safetensors' "${certify[@]}" model.file=cut.safetensors
cp $model long.safetensors
printf 'x' >> long.safetensors
refuses 1 'long.safetensors' "${certify[@]}" model.file=long.safetensors
cp $model header.safetensors
printf '\377\377\377\377\377\377\377' | dd of=header.safetensors conv=notrunc status=none
refuses 1 'header.safetensors' "${certify[@]}" model.file=header.safetensors
cp $model nan.safetensors
truncate -s -4 nan.safetensors
printf '\377\377\377\177' >> nan.safetensors
refuses 1 'fc1' "${certify[@]}" model.file=nan.safetensors

# ---- the run directory -----------------------------------------------------------------------
must_work 1 "${certify[@]}" run.dir=good
cp -r good before
refuses 2 'run.dir = good holds results already' "${train[@]}" run.dir=good
refuses 2 'run.dir = good holds results already' "${certify[@]}" run.dir=good
check "good is as it was" diff -r before good
refuses 1 'glyphs.h5/new|glyphs.h5' "${train[@]}" run.dir=glyphs.h5/new
check "a data set that is there is kept by a failed import" cp glyphs.h5 kept.h5
refuses 1 'truncated' "${import[@]}" import.from=cut import.out=kept.h5
must_equal glyphs.h5 kept.h5

# ---- training that diverges ------------------------------------------------------------------
refuses 1 'loss is .* in step [0-9]+.*a smaller train.lr' "${train[@]}" train.lr=1000 \
    train.batch=10 train.epochs=20
must_not_exist new/model.safetensors
check "metrics.jsonl has no NaN" bash -c '! grep -qis nan new/metrics.jsonl'

# ---- what is printed on request ----------------------------------------------------------------
for what in help 'help train' list 'list models' 'list defenses' 'list certifiers' \
    'list formats' 'list options' 'info model.name=resnet20' "info model.file=$model"; do
    # shellcheck disable=SC2086
    must_work 1 $what
    check "'$what' prints to standard output only" test -s out -a ! -s err
done
run 1 help
for job in import train certify evaluate predict bench list info help; do
    must_say "^  $job "
done
run 1 help certify
must_say 'certify.sigma'
check "help certify has no training options" bash -c '! grep -q train.lr out'
run 1 info model.file=$model
must_say '^710218 parameters'
must_fail 2 "'modls', did you mean 'models'" 1 list modls
