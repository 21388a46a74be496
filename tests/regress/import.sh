#!/usr/bin/env bash
# Import by several ranks: the same bytes for any number of them, the same message for a set with
# damaged files, and memory that does not grow with the set.
source "$(dirname "$0")/lib.sh"
paint=$4

# 112x112 pixels, so that a window is 64 images: seven windows to train, two to test.
glyphs glyphs.h5 20 300
i=0
for class in Z a b; do
    kind=png
    [[ $class == a ]] && kind=jpg
    paint_with "$paint" glyphs.h5 folder/train/$class $kind $((70 * i)) 130 4
    paint_with "$paint" glyphs.h5 folder/test/$class $kind $((130 * (2 - i))) 40 4
    i=$((i + 1))
done
from=(import import.format=folder import.from=folder)
must_work 1 "${from[@]}" import.out=one.h5
check "390 images to train, 120 to test" grep -q '390 train and 120 test images of 112x112x3' err
for ranks in 2 3 4; do
    sometimes 3 || continue
    must_work $ranks "${from[@]}" import.out=many.h5
    must_equal one.h5 many.h5
    must_work $ranks "${from[@]}" import.size=48 import.out=many-48.h5
    must_work 1 "${from[@]}" import.size=48 import.out=one-48.h5
    must_equal one-48.h5 many-48.h5
done
must_not_exist many.h5.part

# Rows of every window are where they belong: another order of classes is another set.
mv folder/train/b folder/train/B
mv folder/test/b folder/test/B
must_work 3 "${from[@]}" import.out=other.h5
must_differ one.h5 other.h5

# ---- the other formats -------------------------------------------------------------------------
for format in glyphs circles; do
    sometimes 2 || continue
    must_work 1 import import.format=$format import.train=9000 import.test=200 import.out=one.h5
    must_work 3 import import.format=$format import.train=9000 import.test=200 import.out=many.h5
    must_equal one.h5 many.h5
done

# idx <directory>: 700 and 300 images of 100x100, in no order.
idx() {
    local part n
    mkdir -p "$1"
    for part in train t10k; do
        n=700
        [[ $part == t10k ]] && n=300
        { printf '\0\0\010\003\0\0%b\0\0\0\144\0\0\0\144' \
            "\\0$(printf %o $((n / 256)))\\0$(printf %o $((n % 256)))"
          seq -f '%.9f' 1 1000000 | head -c $((10000 * n)); } > "$1/$part-images-idx3-ubyte"
        { printf '\0\0\010\001\0\0%b' \
            "\\0$(printf %o $((n / 256)))\\0$(printf %o $((n % 256)))"
          head -c $((7 * n)) "$1/$part-images-idx3-ubyte" | tail -c "$n" | tr '\0-\377' \
            '[\0-\011*]\0-\011\0-\011\0-\011\0-\011\0-\011\0-\011\0-\011\0-\011'; } \
            > "$1/$part-labels-idx1-ubyte"
    done
}

idx idx
must_work 1 import import.format=idx import.from=idx import.out=one.h5
must_work 3 import import.format=idx import.from=idx import.out=many.h5
must_equal one.h5 many.h5
gzip -1 idx/*
must_work 3 import import.format=idx import.from=idx import.out=many.h5 # one stream, one reader
must_equal one.h5 many.h5

# ---- damaged files -----------------------------------------------------------------------------
# Three of them, from the third window on: the first one is told, on any number of ranks.
rm -f bad.h5
for file in folder/train/a/010.jpg folder/train/a/100.jpg folder/test/B/003.png; do
    truncate -s -30 $file
done
for ranks in 1 2 3 4; do
    sometimes 3 || continue
    must_fail 1 'folder/train/a/010.jpg: corrupt JPEG' $ranks "${from[@]}" import.out=bad.h5
    must_not_exist bad.h5
    must_not_exist bad.h5.part
done

# ---- memory ------------------------------------------------------------------------------------
# peak <images>: sets $peak to the megabytes of the rank that took most.
peak() {
    must_work 2 import import.format=glyphs import.train="$1" import.test=100 import.out=memory.h5
    peak=$(sed -n 's/^peak memory \([0-9]*\).* MB a rank.*/\1/p' err)
}

if [[ $mode != brief ]]; then
    peak 1000
    small=$peak
    peak 150000 # 118 MB of pixels
    echo "peak memory $small MB for 1,000 images, $peak MB for 150,000"
    check "memory is told" test -n "$peak" -a "${small:-0}" -gt 5
    check "memory does not grow with the set" test "$peak" -le $((small + 15))
fi
