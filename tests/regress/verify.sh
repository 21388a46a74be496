#!/usr/bin/env bash
# Certificates that others check: the same file for any number of ranks, any batch, and after a
# kill; verify finds what was changed, and draws votes again. Logs of radii. What a certification
# will cost. Takes the liar's tool as its fourth argument.
source "$(dirname "$0")/lib.sh"
forge=$4

# certified <directory> <ranks> <settings...>
certified() {
    local name=$1 ranks=$2
    shift 2
    must_work "$ranks" certify run.dir="$name" data.file=glyphs.h5 "${model[@]}" \
        certify.sigma=0.25 certify.n0=30 certify.alpha=0.01 "$@"
}

forged() {
    paint_with "$forge" "$1/certificates.h5" "$2" "$3" 2> err
    check "$2 was forged" test -s "$2"
}

# flagged <regex> <ranks> <arguments...>: verify fails, and says this.
flagged() {
    local regex=$1 ranks=$2
    shift 2
    must_fail 1 'defects?( |$)' "$ranks" verify "$@"
    must_say "$regex"
}

# altered <from> <to> <byte>: with one byte changed.
altered() {
    cp "$1" "$2"
    printf '\x5a' | dd of="$2" bs=1 seek="$3" conv=notrunc status=none
}

glyphs glyphs.h5 512 12
defenses noise.cfg 'name = "gaussian"; sigma = 0.25;'
must_work 2 train noise.cfg run.dir=model data.file=glyphs.h5 model.name=zcnn train.lr=0.02 \
    train.epochs=6
model=(model.file=model/model.safetensors)

# The same bytes on other ranks and in other batches; what was asked for is in it.
radii=(certify.mode=radii certify.radii=0.1,0.3 certify.n=1600)
certified radii 1 "${radii[@]}"
cp out radii.out
certified ranks2 2 "${radii[@]}" certify.batch=17
certified ranks3 3 "${radii[@]}" certify.batch=64
must_equal radii/certificates.h5 ranks2/certificates.h5
must_equal radii/certificates.h5 ranks3/certificates.h5
must_equal radii/claims.tsv ranks3/claims.tsv
must_equal radii/verdicts.tsv ranks3/verdicts.tsv
must_equal radii/p_lower.tsv ranks3/p_lower.tsv
certified fixed 2 certify.n=1000 certify.skip=3
check "run.json says what was spent" grep -Eq '"samples_spent": [0-9]+' radii/run.json

# Verdicts and claims in words and numbers.
check "a verdict names its guarantee" grep -Eq \
    'certified.*for every image within L2 distance 0\.[0-9]+ .*wrong with probability at most 0\.01' \
    radii/verdicts.tsv
check "each image has a verdict" test "$(wc -l < radii/verdicts.tsv)" -eq 13
check "Holm finds what Bonferroni finds, and no more than there is" awk -F '\t' '
    NR > 1 { bad += $3 > $4 || $4 > $2 || $5 > $6 || $6 > $2 || $7 > $8 } END { exit bad || NR != 3 }' \
    radii/claims.tsv
check "the histogram has all images" awk -F '\t' '
    NR > 1 { s += $5 } END { exit s != 12 }' radii/p_lower.tsv
check "certify prints claims" grep -q 'whatever images share' radii.out

# Nothing is wrong with them; and their votes come again on other ranks.
for run in radii fixed; do
    must_work 1 verify verify.file=$run/certificates.h5
    must_say 'every radius and verdict follows from the counts'
done
again=(data.file=glyphs.h5 "${model[@]}")
must_work 3 verify run.dir=radii "${again[@]}" verify.rerun=0.3 verify.seed=3
must_say '0 blocks differ; flips 0'
must_work 1 verify run.dir=fixed "${again[@]}" verify.rerun=1 certify.batch=7
must_say '0 blocks differ; flips 0'

# What was changed is found.
bytes=$(stat -c %s radii/certificates.h5)
for at in 9 $((bytes / 3)) $((bytes / 2)) $((bytes - 40)) $((bytes - 3)); do
    altered radii/certificates.h5 altered.h5 "$at"
    run 1 verify verify.file=altered.h5
    check "byte $at was changed: exit code 1, got $code" test $code -eq 1
done
head -c $((bytes - 500)) radii/certificates.h5 > short.h5
must_fail 1 'short.h5: ' 1 verify verify.file=short.h5
forged radii radius.h5 radius
flagged 'image 0: radius .* stands there, the counts give' 2 verify.file=radius.h5
forged radii label.h5 label
must_work 1 verify verify.file=label.h5
flagged 'image 0: label' 1 verify.file=label.h5 "${again[@]}" verify.rerun=0.01
forged radii vote.h5 vote
must_work 1 verify verify.file=vote.h5
flagged 'drawn again, the votes differ' 2 verify.file=vote.h5 "${again[@]}" verify.rerun=1

# Made elsewhere: flips are counted. One vote in some thousands is more than 1e-4.
forged radii elsewhere.h5 isa
must_work 1 verify verify.file=elsewhere.h5 "${again[@]}" verify.rerun=1
must_say 'votes near a tie may differ'
paint_with "$forge" vote.h5 both.h5 isa
flagged 'flips: [0-9.e-]+ of the draws, at most 0.0001 expected' 1 verify.file=both.h5 \
    "${again[@]}" verify.rerun=1
if grep -q 'oneDNN' radii/run.json && grep -q 'AVX' radii/run.json; then
    export ONEDNN_MAX_CPU_ISA=SSE41 DNNL_MAX_CPU_ISA=SSE41
    must_work 1 verify run.dir=radii "${again[@]}" verify.rerun=1
    must_say 'flips 0, '
    check "logits differ" grep -Eq ' [1-9][0-9]* blocks differ' out
    unset ONEDNN_MAX_CPU_ISA DNNL_MAX_CPU_ISA
fi
must_work 1 train noise.cfg run.dir=other data.file=glyphs.h5 model.name=zcnn train.steps=2
must_fail 2 'model.file: the network has the hash' 1 verify run.dir=radii data.file=glyphs.h5 \
    model.file=other/model.safetensors verify.rerun=0.1
glyphs other.h5 16 12
must_fail 2 'data.file: the images have the hash' 1 verify run.dir=radii data.file=other.h5 \
    "${model[@]}" verify.rerun=0.1
must_fail 2 'verify.rerun wants data.file' 1 verify run.dir=radii verify.rerun=0.1
must_fail 2 'verify.file is missing' 1 verify

# A log: the table that certify printed, and rows that claim too much.
must_work 1 verify verify.file=fixed/certify.tsv verify.n=1000 verify.alpha=0.01 verify.sigma=0.25
must_say 'no row claims more than it can'
certified table 1 certify.n=1000 > /dev/null
sed -n '/^radius (L2)  certified/,/^abstained/p' out > printed
must_work 1 verify verify.log=table/certify.tsv
sed -n '/^radius (L2)  certified/,/^abstained/p' out > read
must_equal printed read
cut -f1-6 table/certify.tsv > log.tsv
printf '90\t1\t1\t0.660000\t1\t0:00:01\n91\t1\t1\t0.65\t0\t0:00:01\n' >> log.tsv
flagged 'image 90: radius 0.66 is above 0.651' 2 verify.log=log.tsv verify.n=1000 \
    verify.alpha=0.01 verify.sigma=0.25
must_say 'image 91: correct is 0'
check "two defects" grep -q 'log.tsv: 2 defects' err
must_fail 1 'no column .predict.' 1 verify verify.log=radii/votes.tsv

# Before a job.
plan=(data.file=glyphs.h5 "${model[@]}" certify.sigma=0.25 certify.alpha=0.01 plan.seconds=0.2)
must_work 2 plan "${plan[@]}" "${radii[@]}" plan.deadline=1
must_say '^radius    0\.68[0-9]+ at most: 1600 votes of 1600'
must_say '^pilot     12 images'
must_say '^expected  [0-9]+ samples, .* core-hours, .* h on 2 ranks; 1 rank for 1 h'
must_say '^at most   20400 samples'
must_say '^memory    [0-9.]+ MB a rank'
must_work 1 plan data.file=glyphs.h5 model.name=zcnn certify.sigma=0.25 plan.seconds=0.2
must_say 'not trained yet'
must_fail 2 'certify.n = 6 can certify nothing' 1 plan "${plan[@]}" certify.n=6
must_fail 2 'for 0.9 the smallest n is about 28[0-9]{3}' 1 plan "${plan[@]}" certify.n=1600 \
    plan.radius=0.9
must_fail 2 'certifies no radius above' 1 plan "${plan[@]}" certify.n=1600 certify.mode=radii \
    certify.radii=0.1,0.9
must_fail 2 'model.file, run.dir with a trained network' 1 plan data.file=glyphs.h5 \
    certify.sigma=0.25
