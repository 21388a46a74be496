#!/usr/bin/env bash
# The experiment on guided denoisers (jobs/examples/hgd.sh) from its first part to its last, on a few images;
# started again, it finds all of it done.
script=$(realpath "$(dirname "$0")/../../jobs/examples/hgd.sh")
source "$(dirname "$0")/lib.sh"

glyphs g.h5 80 24
# experiment: its output is in `out` and `err`.
experiment() {
    limit=1000 testudo="$testudo" runs=r epochs=1 rounds=1 skip=4 second=mlp started "$script" g.h5
    check "exit code 0, got $code" test "$code" -eq 0 || failed_with_output
}
experiment
tests=(none dae pixel pixel-x2 pgd feature logits class)
check "a line for each defense, eight columns" awk -F'\t' -v want=$((1 + ${#tests[@]})) \
    'NF != 8 { exit 1 } END { exit NR != want }' r/tables/table3.tsv
check "percent" awk -F'\t' 'FNR > 1 { for (i = 2; i <= NF; i++) if ($i < 0 || $i > 100) exit 1 }' r/tables/*.tsv
check "tables 3, 4, 5, 7 and 9" test "$(cd r/tables && echo *)" = 'table3.tsv table4.tsv table5.tsv table7.tsv table9.tsv'
check "white 4 is the mean of FGSM and IFGSM" awk -F'\t' '
    FILENAME ~ /robustness/ { if (FNR == 1) for (i = 1; i <= NF; i++) c[$i] = i
                              right[FNR - 1] = $c["right"]; images = $c["images"]; next }
    $1 == "logits" { n++; want = 50 * (right[2] + right[4]) / images; if ($3 - want > 0.01 || want - $3 > 0.01) exit 1 }
    END { exit n != 1 }' r/test/logits/robustness.tsv r/tables/table3.tsv
check "each image is there once in the training set" test "$(awk 'NR > 1' r/set/outcomes.tsv | wc -l)" -eq 80
check "classes that a denoiser has not seen" test \
    "$(awk -F'\t' 'NR > 1 && $3 < 7' r/test/classes-unseen/outcomes.tsv | wc -l)" -eq 0
for page in training table3 table4 table5 table7 table9 losses levels; do
    must_exist r/report-$page/report.md
done
touch before
experiment
check "nothing is trained or attacked again" test -z "$(find r \( -name model.safetensors -o -name outcomes.tsv -o -name denoising.tsv \) -newer before -not -path '*/report-*')"
