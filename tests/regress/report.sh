#!/usr/bin/env bash
# Reports of what other jobs left: numbers as in their tables, the same bytes again and on any
# number of ranks, all tables there without gnuplot, pictures with it, and what is refused.
source "$(dirname "$0")/lib.sh"

# What the tests need of gnuplot is that it is started; the real one draws at the end, if there.
mkdir fake broken none
printf '#!/bin/sh\necho "$2" >> drawn\n' > fake/gnuplot
printf '#!/bin/sh\necho; echo "it does not like this, line 3" >&2; exit 3\n' > broken/gnuplot
chmod +x fake/gnuplot broken/gnuplot
real=$(command -v gnuplot || true)
plain=$PATH
export PATH=$PWD/fake:$plain

# value <file> <column name> <pattern of the row>
value() {
    awk -F '\t' -v name="$2" -v row="$3" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i }
        NR > 1 && $0 ~ row { print $c; exit }' "$1"
}

must_be() {
    check "$1: $2 expected, got '$3'" test "$2" = "$3"
}

# outcomes <directory> <strength>: three attacks on images 0, 2, 4, ... of 40; an image falls to
# `ball` from eps = (its number + 1) / 100 * strength on, and to `minimal` at twice that.
outcomes() {
    local hash
    hash=$(grep -o '"data": "[0-9a-f]*"' evaluated/evaluate.json | cut -d '"' -f 4)
    mkdir -p "$1"
    cat > "$1/attack.json" << END
{"model": "zcnn", "network": "0", "precision": "f32", "data": "$hash", "split": "test",
 "skip": 2, "images": 20, "classes": 10, "attacks": [
 {"name": "clean", "title": "clean"},
 {"name": "ball", "title": "ball linf 0.05", "norm": "linf", "eps": 0.05, "units": "pixel"},
 {"name": "ball", "title": "ball linf 0.1", "norm": "linf", "eps": 0.1, "units": "pixel"},
 {"name": "minimal", "title": "minimal l2", "norm": "l2", "eps": null, "units": "pixel"}]}
END
    awk -v strength="$2" -v OFS='\t' 'BEGIN {
        print "attack", "idx", "label", "clean", "predict", "target", "success", "l0", "l2",
            "linf", "x2", "xinf", "queries", "gradients", "wrong", "draws"
        for (a = 0; a < 4; a++) for (i = 0; i < 20; i++) {
            label = i % 10; clean = i == 7 ? 0 : label; limit = (i + 1) / 100 * strength
            eps = a == 0 ? 0 : a == 3 ? limit : a * 0.05
            hit = a && eps >= limit - 1e-9
            predict = hit ? (label + 1) % 10 : clean
            print a, 2 * i, label, clean, predict, -1, predict != label ? 1 : 0, 784 * (a > 0),
                a == 3 ? 2 * limit : eps, eps, 8, 1, a, a, predict != label ? 1 : 0, 1
        }
    }' > "$1/outcomes.tsv"
    printf '{"attack": {"config": {"data": {"file": "glyphs.h5"}}}}\n' > "$1/run.json"
}

# files <directory>: all but pictures, with their sums; not the log of a broken gnuplot.
files() {
    (cd "$1" && find . -type f ! -name '*.svg' ! -name gnuplot.log -print0 | sort -z | xargs -0 cksum)
}

glyphs glyphs.h5 200 40
must_work 1 train run.dir=trained data.file=glyphs.h5 model.name=zcnn train.epochs=2 train.batch=40 \
    train.val_share=0.2
must_work 1 evaluate run.dir=evaluated data.file=glyphs.h5 model.file=trained/model.safetensors
must_work 1 certify run.dir=certified data.file=glyphs.h5 model.file=trained/model.safetensors \
    certify.sigma=0.25 certify.n0=10 certify.n=100 certify.skip=4
outcomes weak 1
outcomes strong 2
runs=trained,evaluated,certified,weak,strong

# ---- the same bytes ---------------------------------------------------------------------------------
must_work 1 report report.from=$runs report.out=one
must_say '^one/report.md: 5 runs, '
must_work 1 report report.from=$runs report.out=again
must_work 3 report report.from=$runs report.out=three
for out in again three; do
    diff <(files one) <(files $out) > difference
    check "$out has the files of one: $(head -n 3 difference)" test ! -s difference
done
must_work 1 report report.from=$runs report.out=one
diff <(files one) <(files again) > difference
check "a second report replaces the first" test ! -s difference
for picture in summary accuracy_linf accuracy_l2 certified training_loss training_accuracy; do
    must_exist one/$picture.gp
    must_exist one/$picture.dat
    check "gnuplot was given $picture" grep -q "cd 'one'; load '$picture.gp'" drawn
    check "report.md shows $picture" grep -q "]($picture.svg)" one/report.md
done
check "no PNG was asked for" bash -c '! grep -q png drawn'

# ---- the numbers ------------------------------------------------------------------------------------
t=$(tail -n 1 evaluated/evaluate.tsv)
must_be "images right" "$(cut -f 3 <<< "$t")" "$(value one/clean.tsv correct .)"
must_be "accuracy" "$(cut -f 4 <<< "$t" | awk '{ printf "%.2f", 100 * $1 }')" \
    "$(value one/clean.tsv 'accuracy (%)' .)"
must_be "certified at 0" \
    "$(awk -F '\t' 'NR > 1 { r += $5; n++ } END { printf "%.2f", 100 * r / n }' certified/certify.tsv)" \
    "$(value one/certified.tsv 'r = 0 (%)' .)"
must_be "average radius" \
    "$(awk -F '\t' 'NR > 1 { r += $5 * $4; n++ } END { printf "%.4f", r / n }' certified/certify.tsv)" \
    "$(value one/certified.tsv 'average radius' .)"
must_be "sigma" 0.25 "$(value one/certified.tsv sigma .)"
must_be "epochs" 2 "$(value one/training.tsv epochs .)"
# 20 images, the 8th wrong from the start. weak: image i falls at (i + 1) / 100.
must_be "clean" 95.00 "$(value one/attacks.tsv 'clean (%)' 'weak.*ball linf 0.05')"
must_be "0.05" 70.00 "$(value one/attacks.tsv 'right (%)' 'weak.*ball linf 0.05')"
must_be "0.1" 50.00 "$(value one/attacks.tsv 'right (%)' 'weak.*ball linf 0.1')"
must_be "strong, 0.1" 70.00 "$(value one/attacks.tsv 'right (%)' 'strong.*ball linf 0.1')"
must_be "worst case" 0.00 "$(value one/attacks.tsv 'right (%)' 'weak.*worst case')"
must_be "transfer" 85.00 "$(value one/transfer.tsv strong 'ball linf 0.05')"
must_be "of a ball at its eps" 70.00 "$(value one/accuracy_linf.tsv 'eps 0.05' 'weak')"
must_be "summary" 50.00 "$(value one/summary.tsv 'strongest attack (%)' '^weak')"
# weak: image i falls to `minimal` at 2 (i + 1) / 100: at 0.2 it has lost 10 of 20.
must_work 1 report run.dir=weak report.eps=0.1,0.2,0.21
must_exist weak/report/report.md
must_be "minimal at .1" 70.00 "$(value weak/report/accuracy_l2.tsv 'at eps 0.1' minimal)"
must_be "minimal at .2" 50.00 "$(value weak/report/accuracy_l2.tsv 'eps 0.2' minimal)"
must_be "minimal at .21" 50.00 "$(value weak/report/accuracy_l2.tsv 'eps 0.21' minimal)"
must_be "a start, 19 steps, an end" 21 "$(grep -c '^0' weak/report/accuracy_l2.dat)"
check "no section without results" bash -c '! grep -q Certified.accuracy weak/report/report.md'
check "no line of the page ends in a blank" bash -c '! grep -n " $" one/report.md'

# ---- masked gradients -------------------------------------------------------------------------------
check "attacks of unknown names are not compared" bash -c '! grep -q "may be masked" one/report.md'
mkdir masked
sed 's/"name": "ball", "title": "ball linf 0.05"/"name": "pgd", "title": "pgd linf 0.1"/
     s/"name": "ball", "title": "ball linf 0.1"/"name": "nattack", "title": "nattack linf 0.1"/
     s/"eps": 0.05/"eps": 0.1/' weak/attack.json > masked/attack.json
cp weak/outcomes.tsv weak/run.json masked
must_work 1 report report.from=masked report.out=masks
sentence='^masked: black-box nattack linf 0.1 leaves 50.0 %, less than every white-box attack .*'
sentence+='\(best: pgd linf 0.1 70.0 %\): gradients may be masked\.$'
check "a black-box attack that beats the white-box ones is named" grep -Eq "$sentence" masks/report.md

# ---- contact sheets ---------------------------------------------------------------------------------
# Any images will do in place of adversarial ones: 4 attacks x 20 images.
glyphs weak/adversarial.h5 4 80
must_work 1 report run.dir=weak report.images=5
must_work 3 report run.dir=weak report.images=5 report.out=sheet
must_equal weak/report/contact.png sheet/contact.png
size=$(od -An -tu1 -j16 -N8 sheet/contact.png | awk '{ print $3 * 256 + $4, $7 * 256 + $8 }')
must_be "five columns of 28x28 x 3, three blocks of three rows" \
    "$((4 + 5 * 88)) $((4 + 3 * 3 * 88 + 2 * 16))" "$size"
must_be "the columns are images of different labels" '5' \
    "$(awk -F '\t' '$1 == "label" { for (i = 3; i <= NF; i++) print $i }' sheet/contact.tsv |
        sort -u | wc -l)"
must_work 1 report report.from=weak,strong report.out=two
must_exist two/contact_weak.png
must_not_exist two/contact_strong.png
must_work 1 report run.dir=weak report.images=0 report.out=no_sheet
must_not_exist no_sheet/contact.png
mv glyphs.h5 moved.h5
must_work 1 report run.dir=weak report.out=no_data
check "a missing data set is said" grep -q 'glyphs.h5.* is not there; data.file can name it' err
must_not_exist no_data/contact.png
must_work 1 report run.dir=weak report.out=named data.file=moved.h5
must_exist named/contact.png
must_fail 1 'moved.h5 has the hash|weak/adversarial.h5 has the hash' 2 report run.dir=weak \
    report.out=new data.file=weak/adversarial.h5
glyphs weak/adversarial.h5 4 79
must_fail 1 'weak/adversarial.h5 does not hold 4 attacks on 20 images' 2 report run.dir=weak \
    report.out=new data.file=moved.h5
rm weak/adversarial.h5

# ---- decision regions -------------------------------------------------------------------------------
must_work 1 import import.format=moons import.out=moons.h5 import.train=200 import.test=20
must_work 1 train run.dir=moons data.file=moons.h5 model.name=mlp train.optimizer=adam train.lr=0.003 \
    train.epochs=30 train.batch=50
for ranks in 1 3; do
    must_work $ranks evaluate run.dir=plane$ranks data.file=moons.h5 model.file=moons/model.safetensors \
        evaluate.regions=41 evaluate.batch=$((7 * ranks))
done
must_equal plane1/regions.tsv plane3/regions.tsv
must_equal plane1/regions_points.tsv plane3/regions_points.tsv
must_be "a line a point of the grid" $((41 * 41 + 1)) "$(wc -l < plane1/regions.tsv)"
# The network has learnt its points: the squares that they lie in have their classes.
right=$(awk 'FNR == 1 { next }
    FNR == NR { class[FNR - 2] = $3; next }
    { n++; right += class[int($2 * 41) * 41 + int($1 * 41)] == $3 }
    END { print right, n }' plane1/regions.tsv plane1/regions_points.tsv)
check "squares have the classes of their points: $right" test "${right% *}" -ge 190
must_work 1 report report.from=plane1,moons,plane3 report.out=plane
check "gnuplot was given the regions" grep -q "cd 'plane'; load 'regions.gp'" drawn
must_be "two panels" 2 "$(grep -c 'with rgbimage' plane/regions.gp)"
check "no regions, no section" bash -c '! grep -q Decision one/report.md'
sometimes 3 && must_fail 2 'evaluate.regions is for images of two numbers, data.file has 28x28x1' 2 evaluate \
    run.dir=digits data.file=moved.h5 model.file=trained/model.safetensors evaluate.regions=3
mkdir broken_plane
cp plane1/evaluate.* broken_plane
sed '5s/[^\t]*$/1.5/' plane1/regions.tsv > broken_plane/regions.tsv
sometimes 3 && must_fail 1 'broken_plane/regions.tsv:5: confidence' 1 report report.from=broken_plane report.out=new
sed '5s/[^\t]*$/0.9/' plane1/regions.tsv > broken_plane/regions.tsv
sometimes 3 && must_fail 1 'broken_plane/regions_points.tsv' 1 report report.from=broken_plane report.out=new

# ---- votes ------------------------------------------------------------------------------------------
for rule in prediction soft; do
    must_work 1 evaluate run.dir=$rule data.file=moved.h5 model.file=trained/model.safetensors \
        vote.sigma=0.3 vote.rule=$rule vote.draws=6
done
must_work 1 report report.from=prediction,soft report.out=votes
for rule in prediction soft; do
    must_be "right by $rule" "$(tail -n 1 $rule/evaluate.tsv | cut -f 3)" \
        "$(value votes/votes_table.tsv correct "^$rule")"
done
must_be "no loss where there is none" - "$(value votes/votes_table.tsv loss '^prediction')"
must_be "two lines of four points: draws 1, 2, 4 and 6" '0 1 2 2.5849625 0 1 2 2.5849625' \
    "$(awk '!/^#/ && NF == 2 { printf "%s%s", c++ ? " " : "", $1 }' votes/votes.dat)"
must_not_exist votes/clean.tsv
must_work 1 report run.dir=soft
must_be "a line for each of five rules" 5 "$(grep -c '^#' soft/report/votes.dat)"

# ---- gnuplot ----------------------------------------------------------------------------------------
alone=(OMPI_MCA_ess_singleton_isolated=1) # Open MPI starts a program of its own otherwise
started env "${alone[@]}" PATH="$PWD/none" "$testudo" report report.from=$runs report.out=without
must_have_failed 1 'gnuplot cannot be started .*gnuplot-nox.*the tables are in without'
diff <(files one) <(files without) > difference
check "without gnuplot all tables are there" test ! -s difference
started env "${alone[@]}" PATH="$PWD/broken" "$testudo" report report.from=$runs report.out=without
must_have_failed 1 'without/summary.gp: gnuplot ended with 3 \(it does not like this, line 3\)'

if [[ -n $real ]]; then
    PATH=$plain
    must_work 1 report report.from=$runs report.out="it's" report.png=1
    for picture in summary accuracy_linf accuracy_l2 certified training_loss training_accuracy; do
        check "$picture.svg is one" grep -q '</svg>' "it's/$picture.svg"
        check "$picture.svg has no hole" bash -c "! grep -qi 'nan[ ,\"]' \"it's/$picture.svg\""
        check "$picture.png is one" test "$(head -c 4 "it's/$picture.png" | tail -c 3)" = PNG
    done
    must_not_exist "it's/gnuplot.log"
    must_work 1 report report.from=plane1,plane3 report.out=plane report.png=1
    must_be "a picture a panel in regions.svg" 2 "$(grep -c '<image' plane/regions.svg)"
    check "regions.png is one" test "$(head -c 4 plane/regions.png | tail -c 3)" = PNG
    echo 'plot nonsense(' >> one/summary.gp
    (cd one && gnuplot accuracy_linf.gp)
    must_equal one/accuracy_linf.svg "it's/accuracy_linf.svg"
fi

# ---- what is refused --------------------------------------------------------------------------------
# refuses <code> <regex> <settings...>: on one rank and on three, and nothing is written.
refuses() {
    local code=$1 regex=$2
    shift 2
    sometimes 3 || return
    must_fail "$code" "$regex" 1 report "$@"
    sometimes 4 && must_fail "$code" "$regex" 3 report "$@"
    must_not_exist new/report.md
}

mkdir empty
refuses 2 'run.dir is missing'
refuses 2 'run.dir is missing' report.from=weak
refuses 2 'report.from = weak,,strong: 1 to 64 run directories' report.from=weak,,strong report.out=new
refuses 2 'report.from names weak twice' report.from=weak,strong,weak/ report.out=new
refuses 2 'report.out = strong is a run directory' report.from=weak report.out=strong
refuses 1 'there is no run directory nowhere' report.from=weak,nowhere report.out=new
refuses 1 'nothing to report in empty' report.from=weak,empty report.out=new
mkdir bad
sed '3s/\t[^\t]*$//' certified/certify.tsv > bad/certify.tsv
refuses 1 'bad/certify.tsv:3: 11 columns, the header has 12' report.from=bad report.out=new
sed '2s/^0\t/x\t/' certified/certify.tsv > bad/certify.tsv
refuses 1 "bad/certify.tsv:2: idx = 'x'" report.from=bad report.out=new
rm bad/certify.tsv
head -c 20 trained/metrics.jsonl > bad/metrics.jsonl
refuses 1 'bad/metrics.jsonl:1: the line has no end' report.from=bad report.out=new
rm bad/metrics.jsonl
cp weak/outcomes.tsv bad
refuses 1 'bad/attack.json' report.from=bad report.out=new
cp weak/attack.json bad
sed -i '$d' bad/outcomes.tsv
refuses 1 'bad/outcomes.tsv' report.from=bad report.out=new
