#!/usr/bin/env bash
# Sets of photographs: what import and the loader cost, beside djpeg, and what a training waits for.
#   tests/bench/photos.sh SAMPLES [images] [testudo] [photos]
# SAMPLES is a directory of photographs, of which so many (20000) are made under TMPDIR, by cut and
# encoding; about 75 MB a thousand, twice, and all is removed in the end. Seconds are those of the
# processor, not of the clock, so that other work on the machine does not count; but for what a training
# waits, which is a share of the clock. djpeg is looked for in PATH.
set -euo pipefail
samples=$1 images=${2:-20000} testudo=${3:-build/release/testudo}
photos=${4:-$(dirname "$testudo")/tests/regress/regress_photos}
testudo=$(realpath "$testudo")
photos=$(realpath "$photos")
samples=$(realpath "$samples")
export OMP_NUM_THREADS=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
TIMEFORMAT='%U %S'

# processor <command...>: seconds of the processor in $seconds; output to out and err.
processor() {
    seconds=$({ time "$@" > out 2> err; } 2>&1 | awk '{ print $1 + $2 }')
}

# peak: megabytes, as the command before has told.
peak() {
    sed -n 's/^peak memory \([0-9.]*\) MB.*/\1/p' err
}

ratio() {
    awk -v a="$1" -v b="$2" 'BEGIN { printf "%.'"${3:-1}"'f\n", (b > 0 ? a / b : 0) }'
}

tests=$((images / 10))
few=$((images / 10))
"$photos" "$samples" many "$images" "$tests"
"$photos" "$samples" few "$few" "$((few / 4))"
bytes=$(find many -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%.0f", s }')
all=$((images + tests))
echo "$all photographs, $(ratio "$bytes" "$all" 0) bytes each"

from=(import import.format=folder import.store=files import.size=224)
for set in few many; do
    processor "$testudo" "${from[@]}" import.from=$set import.out=$set.h5
    echo "import $set: $seconds s of the processor, peak $(peak) MB"
done
each=$(ratio "$seconds" "$all" 6)
echo "import of one: $(ratio 1 "$each" 0) images/s a core: read, decode, resize, cut, hash, write"

find many -name '*.jpg' | sort | awk 'NR % 10 == 1' | head -n 1000 > list
if command -v djpeg > found; then
    # shellcheck disable=SC2016
    processor bash -c 'while read -r f; do djpeg -outfile /dev/null "$f"; done < list'
    decoding=$seconds
    # shellcheck disable=SC2016 # what starting it costs
    processor bash -c 'while read -r f; do djpeg -version; done < list'
    decoding=$(awk -v a="$decoding" -v b="$seconds" -v n="$(wc -l < list)" \
        'BEGIN { printf "%.6f", (a - b) / n }')
    echo "djpeg: $(ratio 1 "$decoding" 0) images/s a core, decoding and writing them out alone"
fi

train=(train model.name=resnet20 train.epochs=100 train.batch=64 train.lr=0.1 train.lr_batch=256
    train.decay=kernels train.weight_decay=1e-4 train.flip=true)
# step <name> <steps> <arguments...>: processor seconds a step, waiting, peak.
step() {
    local name=$1 steps=$2 short
    shift 2
    processor "$testudo" "${train[@]}" "$@" train.steps=1 run.dir=short
    short=$seconds
    processor "$testudo" "${train[@]}" "$@" train.steps=$((steps + 1)) run.dir=long
    echo "$name: $(awk -v a="$seconds" -v b="$short" -v n="$steps" 'BEGIN { printf "%.3f", (a - b) / n }')" \
        "s of the processor a step of 64," \
        "$(sed -n 's/^waited for data/waits for data/p' err), peak $(peak) MB"
    rm -r short long
}
for size in 32 64 224; do
    steps=$((size == 224 ? 2 : 12))
    "$testudo" import import.format=folder import.from=few import.size=$size import.out=pixels.h5 \
        2> err
    area=("data.size=$size" "train.area=0.08,1")
    step "resnet20 $size, pixels" $steps data.file=pixels.h5
    step "resnet20 $size, $images files" $steps data.file=many.h5 "${area[@]}"
    [[ $size -ne 64 ]] || {
        step "resnet20 $size, $few files" $steps data.file=few.h5 "${area[@]}"
        step "resnet20 $size, $images files in blocks" $steps data.file=many.h5 "${area[@]}" \
            data.shuffle=blocks
    }
done

awk -v each="$each" -v bytes="$(ratio "$bytes" "$all" 0)" 'BEGIN {
    n = 1281167
    printf "on paper, %d images: %.0f GB, %.1f hours of one core to import, ", n, n * bytes / 1e9,
        n * each / 3600
    printf "%.2f on 64; an epoch decodes for %.2f hours of a core\n", n * each / 3600 / 64,
        n * each / 3600
}'
