#!/usr/bin/env bash
# Train, evaluate, attack, evaluate: tables of what attacks did. The numbers are those that awk makes
# of outcomes.tsv; the bytes are the same for any number of ranks; what was there stays.
source "$(dirname "$0")/lib.sh"

tables='robustness.tsv curve.tsv distance.tsv sensitivity.tsv transfer.tsv'

# cell <table> <first field> <column name>
cell() {
    awk -F '\t' -v row="$2" -v name="$3" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
        NR > 1 && $1 == row { print $at[name]; exit }' "$1"
}

# is <sentence> <table> <first field> <column> <value>: within 1e-6 of it.
is() {
    local got
    got=$(cell "$2" "$3" "$4")
    check "$1: $got, expected $5" awk -v a="$got" -v b="$5" \
        'BEGIN { d = a - b; exit !(a != "" && d * d <= 1e-12 * (1 + b * b)) }'
}

# of <number of the attack> <awk expression over the columns by name>: its mean over the images.
of() {
    awk -F '\t' -v a="$1" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
        function v(name) { return $at[name] }
        NR > 1 && $1 == a { n++; s += ('"$2"') } END { printf "%.12g\n", s / n }' a/outcomes.tsv
}

evaluate() {
    local name=$1 ranks=$2
    shift 2
    must_work "$ranks" evaluate run.dir="$name" data.file=glyphs.h5 \
        model.file=a/model.safetensors "$@"
}

attack() {
    local name=$1
    shift
    must_work 2 attack attacks.cfg run.dir="$name" data.file=glyphs.h5 \
        model.file=a/model.safetensors "$@"
}

cat > attacks.cfg <<'CFG'
attack = ( { name = "clean"; },
           { name = "pgd"; norm = "linf"; eps = [0.02, 0.05]; steps = 5; },
           { name = "fgsm"; norm = "linf"; eps = [0.03]; },
           { name = "ddn"; steps = 10; } );
CFG

glyphs glyphs.h5 600 90
must_work 2 train run.dir=a data.file=glyphs.h5 model.name=mlp train.epochs=6 train.batch=30
evaluate a 2
cp a/evaluate.tsv a/evaluate.json .
attack a craft.max=60
must_say '^pgd linf 0.02 +[0-9.]+ %'

# ---- what is made, and what stays ----------------------------------------------------------------
cp -r a b && cp -r a c && cp -r a d
evaluate a 1 evaluate.distance=1 evaluate.sensitivity=1 evaluate.runs=b,c
must_say '^all of them at worst '
must_say 'distance to the training set'
must_equal evaluate.tsv a/evaluate.tsv
must_equal evaluate.json a/evaluate.json
for ranks in 2 3; do
    copy=$([[ $ranks -eq 2 ]] && echo b || echo c)
    evaluate $copy $ranks evaluate.distance=1 evaluate.sensitivity=1 evaluate.runs=b,c \
        evaluate.batch=$((7 * ranks))
    for table in $tables; do
        must_equal a/"$table" $copy/"$table"
    done
done
must_fail 2 'run.dir = a holds results already' 2 evaluate run.dir=a data.file=glyphs.h5
rm a/robustness.tsv # what is missing is made again, and nothing else
cp a/sensitivity.tsv . && echo touched >> a/sensitivity.tsv
evaluate a 2 evaluate.sensitivity=1
must_equal a/robustness.tsv b/robustness.tsv
must_differ a/sensitivity.tsv sensitivity.tsv
mv sensitivity.tsv a/sensitivity.tsv

# ---- robustness.tsv and curve.tsv ----------------------------------------------------------------
a=0
for title in 'clean' 'pgd linf 0.02' 'pgd linf 0.05' 'fgsm linf 0.03' 'ddn l2'; do
    check "attack.json has '$title'" grep -q "\"title\": \"$title\"" a/attack.json
    is "$title: clean accuracy" a/robustness.tsv "$title" clean_accuracy \
        "$(of $a 'v("clean") == v("label")')"
    is "$title: accuracy" a/robustness.tsv "$title" accuracy "$(of $a 'v("predict") == v("label")')"
    is "$title: success" a/robustness.tsv "$title" success_rate "$(of $a 'v("success")')"
    is "$title: mean l2" a/robustness.tsv "$title" mean_l2_all "$(of $a 'v("l2")')"
    is "$title: rho2" a/robustness.tsv "$title" rho2 "$(of $a 'v("l2") / v("x2")')"
    is "$title: root mean square" a/robustness.tsv "$title" rms_l2 \
        "$(awk -v s="$(of $a 'v("l2") * v("l2")')" 'BEGIN { printf "%.12g", sqrt(s) }')"
    is "$title: queries" a/robustness.tsv "$title" queries "$(of $a 'v("queries")')"
    a=$((a + 1))
done
worst=$(awk -F '\t' 'NR > 1 { bad[$2] += $4 != $3 || $5 != $3 }
    END { for (i in bad) right += bad[i] == 0; print right + 0 }' a/outcomes.tsv)
is "the worst case" a/robustness.tsv worst right "$worst"
check "it is not better than any attack" test "$worst" -le \
    "$(cell a/robustness.tsv 'pgd linf 0.05' right)"
check "pgd is a curve of three points" test \
    "$(awk -F '\t' '$2 == "ball" && $3 == "pgd"' a/curve.tsv | wc -l)" -eq 3
check "its last point is the accuracy at .05" test \
    "$(awk -F '\t' '$3 == "pgd" { v = $6 } END { print v }' a/curve.tsv)" -eq \
    "$(cell a/robustness.tsv 'pgd linf 0.05' right)"
check "ddn falls from the clean accuracy to that under it" awk -F '\t' -v low="$(
    cell a/robustness.tsv 'ddn l2' right)" -v high="$(cell a/robustness.tsv clean right)" '
    $3 == "ddn" { if (!n++) first = $6; if (n > 1 && $6 > last) up++; last = $6 }
    END { exit !(first == high && last == low && !up && n > 10) }' a/curve.tsv
check "the matrix has two equal columns" awk -F '\t' 'NR > 1 && $2 != $3 { exit 1 }' a/transfer.tsv
check "the matrix has the accuracy in percent" test "$(cell a/transfer.tsv 'pgd linf 0.02' b)" = \
    "$(printf '%.4f' "$(of 1 '100 * (v("predict") == v("label"))')")"

# ---- distance.tsv and sensitivity.tsv ------------------------------------------------------------
is "clean images fool nobody" a/distance.tsv clean fooled 0
check "and have no distance" test "$(cell a/distance.tsv clean distance)" = -
is "those of pgd are counted" a/distance.tsv 'pgd linf 0.05' fooled \
    "$(awk -F '\t' '$1 == 2 && $4 != $5' a/outcomes.tsv | wc -l)"
# Made of training images, fooling ones are no farther from the set than from those.
attack train data.split=train craft.max=40
evaluate train 2 data.split=train evaluate.distance=1
check "training images that were moved lie near the set" awk -F '\t' -v mean="$(
    cell train/distance.tsv 'pgd linf 0.05' distance)" '
    $1 == 2 && $4 != $5 { n++; s += $9 }
    END { exit !(n > 3 && mean > 0 && mean <= s / n * (1 + 1e-6)) }' train/outcomes.tsv
must_work 1 predict run.dir=p data.file=glyphs.h5 model.file=a/model.safetensors
paste a/sensitivity.tsv p/predict.tsv > both # idx label predict loss softmax idx name label predict ...
check "the slope of the class's probability p is p times that of its loss" awk -F '\t' '
    NR > 1 && $1 != "mean" {
        if ($1 != $6 || $3 != $9) exit 1
        if ($2 == $3) { n++; d = $5 - $11 * $4; if (d * d > 1e-8 * $4 * $4) exit 1 }
    }
    END { exit n < 20 }' both
is "the mean is that of all images" a/sensitivity.tsv mean loss \
    "$(awk -F '\t' 'NR > 1 && $1 != "mean" { n++; s += $4 } END { printf "%.12g", s / n }' \
        a/sensitivity.tsv)"

# ---- a random target -----------------------------------------------------------------------------
must_work 2 attack run.dir=r data.file=glyphs.h5 model.file=a/model.safetensors attack=fgsm \
    attack.0.eps=0.05 vote.sigma=0.3 vote.draws=30 craft.max=20
evaluate r 2
must_say 'a fresh draw +[0-9.]+ %  \([0-9.]+ to [0-9.]+ with 95 % confidence'
want=$(awk -F '\t' 'NR > 1 { n++; s += 1 - $15 / $16 } END { printf "%.12g", s / n }' r/outcomes.tsv)
is "the expected accuracy is that of the draws" r/robustness.tsv 'fgsm linf 0.05' expected "$want"
check "it lies in its interval" awk -v v="$want" -v l="$(cell r/robustness.tsv 'fgsm linf 0.05' lower)" \
    -v u="$(cell r/robustness.tsv 'fgsm linf 0.05' upper)" 'BEGIN { exit !(l < v && v < u) }'

# ---- errors --------------------------------------------------------------------------------------
must_work 1 train run.dir=other data.file=glyphs.h5 model.name=mlp train.steps=1
must_fail 2 'd/evaluate.json has another "network"' 2 evaluate run.dir=d data.file=glyphs.h5 \
    model.file=other/model.safetensors
must_fail 2 'd/evaluate.json has another "skip"' 2 evaluate run.dir=d data.file=glyphs.h5 \
    evaluate.skip=2
must_not_exist d/robustness.tsv
must_fail 2 'evaluate.distance: run.dir = other has no outcomes.tsv' 3 evaluate run.dir=other \
    data.file=glyphs.h5 evaluate.distance=1
must_fail 2 'b and train: attack.json has different "split"' 2 evaluate run.dir=other \
    data.file=glyphs.h5 evaluate.runs=b,train
rm -f other/evaluate.tsv
must_fail 2 'evaluate.runs = b,,c: run directories with commas' 1 evaluate run.dir=other \
    data.file=glyphs.h5 evaluate.runs=b,,c
sed -i '4s/\t[0-9]*$/\tx/' d/outcomes.tsv
must_fail 1 "d/outcomes.tsv: line 4: draws 'x': a whole number" 2 evaluate run.dir=d \
    data.file=glyphs.h5
must_not_exist d/robustness.tsv
rm c/distance.tsv c/adversarial.h5
must_fail 1 'c/adversarial.h5' 2 evaluate run.dir=c data.file=glyphs.h5 evaluate.distance=1
