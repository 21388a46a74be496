#!/usr/bin/env bash
# Predictions: the same bytes for any number of ranks and any batch; verdicts that follow from the
# votes; a run that was stopped goes on; a folder of image files gives what the data set gives.
source "$(dirname "$0")/lib.sh"
paint=$4
[[ $paint == /* ]] || { echo "the fourth argument is the program paint"; exit 1; }

# predict <name> <ranks> <settings...>
predict() {
    local name=$1 ranks=$2
    shift 2
    must_work "$ranks" predict run.dir="$name" model.file=zcnn/model.safetensors "$@"
}

# same <as> <name> <ranks> <settings...>: the same table as that of the run <as>.
same() {
    local as=$1
    shift
    sometimes 3 || return
    rm -rf "$1"
    predict "$@"
    must_equal "$as/predict.tsv" "$1/predict.tsv"
}

glyphs glyphs.h5 600 60
must_work 2 train run.dir=zcnn data.file=glyphs.h5 model.name=zcnn train.epochs=5 \
    train.batch=30 train.lr=0.02 defense=gaussian defense.0.sigma=0.25
data=(data.file=glyphs.h5)
images=12
[[ $mode != brief ]] || images=4

# ---- without noise --------------------------------------------------------------------------
predict plain 1 "${data[@]}"
check "a header" test "$(head -n 1 plain/predict.tsv | tr '\t' ' ')" = \
    'idx name label predict correct probability'
check "60 images" test "$(wc -l < plain/predict.tsv)" -eq 61
for ranks in 2 3; do
    same plain again "$ranks" "${data[@]}" predict.batch=7
done
check "probabilities of ten classes" awk -F '\t' 'NR > 1 && ($6 < 0.1 || $6 > 1) { exit 1 }' \
    plain/predict.tsv
check "correct is said of each" awk -F '\t' 'NR > 1 && $5 != ($3 == $4) { exit 1 }' \
    plain/predict.tsv

# ---- with noise -----------------------------------------------------------------------------
# More draws than one block of the sampler has (512), so that an image is spread over ranks.
noise=("${data[@]}" predict.sigma=0.25 predict.max=$images predict.skip=2 predict.n=600
    predict.hash=1)
predict noise 1 "${noise[@]}"
for ranks in 2 3; do
    same noise again "$ranks" "${noise[@]}"
done
same noise again 1 "${noise[@]}" predict.batch=17
same noise again 3 "${noise[@]}" predict.batch=1
same noise again 2 "${noise[@]}" predict.batch=33 run.threads=2
check "$images images, hashed" test "$(grep -Ec '[0-9a-f]{16}$' noise/predict.tsv)" -eq $images
check "every second image" test "$(tail -n 1 noise/predict.tsv | cut -f 1)" -eq $((2 * images - 2))
check "600 votes each" awk -F '\t' 'NR > 1 { n = split($10, v, ","); s = 0
    for (k = 1; k <= n; k++) s += v[k]; if (s != 600 || n != 10) exit 1 }' noise/predict.tsv
# other_logits <name>: the first image of that run has another hash than that of `noise`.
other_logits() {
    check "$1 has other logits" test "$(sed -n 2p noise/predict.tsv | cut -f 11)" != \
        "$(sed -n 2p "$1/predict.tsv" | cut -f 11)"
}
predict seed 2 "${noise[@]}" predict.max=1 run.seed=2
other_logits seed
predict real 2 "${noise[@]}" predict.noise=real predict.max=2
other_logits real
same real again 3 "${noise[@]}" predict.noise=real predict.max=2 predict.batch=5

# follows <file> <alpha>: each verdict from the votes alone. The two-sided p-value is summed term by
# term: 2 sum_{j >= k} C(n, j) / 2^n, with the counts of the top two.
follows() {
    awk -F '\t' -v alpha="$2" '
        function p_value(k, n,    j, term, sum) {
            if (2 * k == n) return 1
            term = 0 # log of C(n, j) / 2^n, from j = n downwards
            sum = 0
            for (j = n; j >= k; j--) {
                sum += exp(term - n * log(2))
                if (j > 0) term += log(j) - log(n - j + 1)
            }
            return 2 * sum < 1 ? 2 * sum : 1
        }
        NR > 1 {
            n = split($10, v, ",")
            first = 1
            for (k = 2; k <= n; k++) if (v[k] > v[first]) first = k
            second = 0
            for (k = 1; k <= n; k++) if (k != first && v[k] > second) second = v[k]
            p = p_value(v[first], v[first] + second)
            if ($6 != v[first]) bad("count")
            if ($4 != (p <= alpha ? first - 1 : -1)) bad("class, p is " p)
            if ($9 != (p <= alpha ? "predicted" : "abstain")) bad("verdict")
            if ($8 < p * (1 - 1e-9) || $8 > p * 1.0011) bad("p-value, should be " p)
            seen[$9]++
        }
        function bad(what) { print "line " NR ": " what ": " $0; failed = 1 }
        END { exit failed || !seen["predicted"] || !seen["abstain"] }' "$1"
}

# By hand: 11 votes out of 11 have the p-value 2/2^11 = 0.00098 <= 0.001, 10 out of 11 have
# 24/2^11 = 0.012. So those images are predicted on which all draws agree, and no others.
predict eleven 2 "${data[@]}" predict.sigma=0.25 predict.n=11
check "predicted exactly where all agree" awk -F '\t' '
    NR > 1 { if (($6 == 11) != ($9 == "predicted")) exit 1; seen[$9]++ }
    END { exit !seen["predicted"] || !seen["abstain"] }' eleven/predict.tsv
check "2/2^11, rounded up" test "$(awk -F '\t' '$6 == 11 { print $8 }' eleven/predict.tsv |
    sort -u)" = 9.766e-04
check "verdicts follow from votes" follows eleven/predict.tsv 0.001
must_say "abstained $(grep -c abstain eleven/predict.tsv) of 60"
predict fifty 3 "${data[@]}" predict.sigma=0.5 predict.n=50 predict.alpha=0.05 predict.max=30
check "verdicts follow from votes" follows fifty/predict.tsv 0.05
must_fail 2 'predict.n = 10 draws abstain on every image .*the smallest n that does not is 11' 2 \
    predict run.dir=new "${data[@]}" predict.sigma=0.25 predict.n=10

# ---- stopped, and started again -----------------------------------------------------------------
rm noise/predict.tsv
predict noise 3 "${noise[@]}" # all votes are there
check "a line says so" grep -q "resume: $((600 * images)) samples are there already" err
cp noise/predict.tsv whole.tsv
# lose <bytes>: the table, and the end of the segment that has most records.
lose() {
    local segment
    segment=$(find noise/predict/ledger -type f -printf '%s %p\n' | sort -n | tail -n 1 |
        cut -d ' ' -f 2)
    rm noise/predict.tsv
    truncate -s "-$1" "$segment"
}
for ranks in 1 2 3; do
    sometimes 2 || continue
    lose 700 # in the middle of a record
    predict noise "$ranks" "${noise[@]}" predict.batch=9
    check "it went on" grep -Eq 'resume: [0-9]+ samples are there already' err
    must_equal whole.tsv noise/predict.tsv
done
rm noise/predict.tsv
must_fail 2 'ledger.*(context|settings|other)' 2 predict run.dir=noise \
    model.file=zcnn/model.safetensors "${noise[@]}" predict.sigma=0.3
# A certification in the same directory has its own ledger.
must_work 2 certify run.dir=noise model.file=zcnn/model.safetensors "${data[@]}" \
    certify.sigma=0.25 certify.n=50 certify.max=2
predict noise 1 "${noise[@]}"
must_equal whole.tsv noise/predict.tsv
must_fail 2 'run.dir = noise holds results already' 2 predict run.dir=noise \
    model.file=zcnn/model.safetensors "${noise[@]}"

# ---- a folder -------------------------------------------------------------------------------------
# What the columns of two tables, from the label on, have in common: all but name and label.
without_names() {
    cut -f 1,4,6- "$1"
}

must_paint() {
    check "paint $*" paint_with "$paint" glyphs.h5 "$@"
}

must_paint png png 0 30
mv png/007.png png/.hidden
must_paint one png 7 1
mkdir png/003.folder
mv one/000.png png/003.folder/any.name.at.all # comes after 003.png, and 004 moves up
rm png/.hidden
cp png/000.png png/.passed.over
predict folder 1 predict.from=png
check "30 files" test "$(wc -l < folder/predict.tsv)" -eq 31
check "in byte order" test "$(cut -f 2 folder/predict.tsv | sed -n '5,6p' | tr '\n' ' ')" = \
    '003.folder/any.name.at.all 003.png '
check "no labels" test "$(cut -f 3,5 folder/predict.tsv | sort -u | tr '\t\n' '  ')" = \
    '- - label correct '
must_say 'class +[0-9]+ +probability [0-9.]+ +000.png'
for ranks in 2 3; do
    same folder again "$ranks" predict.from=png predict.batch=4
done
# Row by row what the data set gives: 000 001 002, then 007, then 003 ...
order=(0 1 2 7 3 4 5 6 $(seq 8 29))
for ((i = 0; i < 30; i++)); do
    sed -n "$((order[i] + 2))p" plain/predict.tsv | cut -f 4,6
done > want
tail -n +2 folder/predict.tsv | cut -f 4,6 > got
must_equal want got

# With noise, a folder that has the rows of the data set in their order has its votes.
must_paint rows png 0 $((2 * images))
predict voted 2 "${noise[@]}" predict.from=rows
without_names voted/predict.tsv > got
without_names whole.tsv > want
must_equal want got
same voted again 3 "${noise[@]}" predict.from=rows predict.batch=31

# JPEG, at best quality, changes next to nothing.
must_paint jpeg jpg 0 24
predict jpeg.run 2 predict.from=jpeg
check "nearly all classes of PNG" test "$(paste <(cut -f 4 jpeg.run/predict.tsv) \
    <(head -n 25 plain/predict.tsv | cut -f 4) | awk '$1 == $2' | wc -l)" -ge 24

# Sizes: refused, or resized.
must_paint large png 0 6 2
must_fail 2 'large/000.png: is 56x56 .*network is for 28x28; predict.size' 2 predict \
    run.dir=new model.file=zcnn/model.safetensors predict.from=large
predict resized 1 predict.from=large predict.size=28
check "six large images" test "$(wc -l < resized/predict.tsv)" -eq 7
same resized again 3 predict.from=large predict.size=28
predict cut 1 predict.from=large predict.size=40
must_differ resized/predict.tsv cut/predict.tsv
must_fail 2 'predict.size = 20: .*28x28 .*at least 28' 1 predict run.dir=new \
    model.file=zcnn/model.safetensors predict.from=large predict.size=20

# Names that would break a table.
mkdir odd
cp png/000.png odd/$'tab\there'
cp png/001.png odd/$'line\nbreak'
predict odd.run 1 predict.from=odd
check "two lines and a header" test "$(wc -l < odd.run/predict.tsv)" -eq 3
check "a tab is written as x09" grep -q 'tab\\x09here' odd.run/predict.tsv

# ---- errors -----------------------------------------------------------------------------------------
# refused <code> <regex> <settings...>: on one rank and on three.
refused() {
    local code=$1 regex=$2
    shift 2
    sometimes 3 &&
        must_fail "$code" "$regex" 3 predict run.dir=new model.file=zcnn/model.safetensors "$@"
    sometimes 4 &&
        must_fail "$code" "$regex" 1 predict run.dir=new model.file=zcnn/model.safetensors "$@"
    must_not_exist new/predict.tsv
}

refused 2 'predict.from and data.file are missing'
refused 1 'nowhere: cannot be read as a folder' predict.from=nowhere
must_work 1 import import.format=moons import.out=moons.h5 import.train=20 import.test=4
must_work 1 train run.dir=moons data.file=moons.h5 model.name=mlp
refused 2 'files have 1 or 3 channels, the network is for 2' predict.from=png \
    model.file=moons/model.safetensors
mkdir empty
refused 2 'empty: no files there' predict.from=empty
head -c 200 png/011.png > cut.png
cp -r png bad
cp cut.png bad/011.png
refused 1 'bad/011.png: .*(truncated|corrupt)' predict.from=bad
refused 1 'bad/011.png: .*(truncated|corrupt)' predict.from=bad predict.sigma=0.25
echo 'a note' > bad/011.png
refused 1 'bad/011.png: starts with neither' predict.from=bad
rm bad/011.png
mkdir -p bad/a/b
refused 1 'bad/a/b: is no regular file' predict.from=bad
refused 2 'predict.sigma = 1e-05' "${data[@]}" predict.sigma=1e-5

# ---- what is printed on request, once in a launch ---------------------------------------------------
must_work 3 help predict
check "once" test "$(grep -c 'predict.sigma' out)" -eq 1
check "data.file is not required" grep -Eq '^  data.file +- ' out
must_work 1 help evaluate
check "data.file is required" grep -Eq '^  data.file +required ' out
must_work 3 list models
check "once" test "$(grep -c '^ *zcnn ' out)" -eq 1
must_fail 2 "'modls', did you mean 'models'" 3 list modls
