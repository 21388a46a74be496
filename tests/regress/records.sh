#!/usr/bin/env bash
# What a run leaves behind: the same bytes for the same data set, a record of each job in
# run.json, and a table that follows from the votes.
source "$(dirname "$0")/lib.sh"

# ---- the data set ----------------------------------------------------------------------------
glyphs one.h5 300 20
must_work 3 import import.format=glyphs import.out=deep/er/two.h5 import.train=300 import.test=20
must_equal one.h5 deep/er/two.h5
must_work 1 import import.format=glyphs import.out=seed.h5 import.train=300 import.test=20 \
    run.seed=2
must_differ one.h5 seed.h5

# ---- train and certify side by side ------------------------------------------------------------
data=(run.dir=run data.file=one.h5)
must_work 2 train "${data[@]}" model.name=zcnn train.epochs=6 train.batch=50 train.lr=0.02 \
    defense=gaussian defense.0.sigma=0.25
must_work 3 certify "${data[@]}" run.seed=7 run.threads=2 certify.sigma=0.25 certify.n0=20 \
    certify.n=300 certify.skip=2 certify.max=8
check "run.json is one object with train and certify" test \
    "$(grep -Ec '^  "(train|certify)": \{$' run/run.json)" -eq 2
for key in version config libraries instruction_set ranks threads seed start end; do
    check "run.json has $key for both" test "$(grep -c "^    \"$key\": " run/run.json)" -eq 2
done
for line in '"ranks": 2' '"ranks": 3' '"threads": 1' '"threads": 2' '"seed": 1' '"seed": 7' \
    '"version": "0.1.0"' '"mpi": "Open MPI' '"convolution": "' '"name": "gaussian"' \
    '"sigma": 0.25' '"epochs": 6' '"n": 300' '"alpha": 0.001'; do
    check "run.json has $line" grep -Fq -- "$line" run/run.json
done
check "start and end are times" test \
    "$(grep -Ec '"(start|end)": "20[0-9-]{8}T[0-9:]{8}Z"' run/run.json)" -eq 4
check "metrics.jsonl has a line an epoch" test "$(wc -l < run/metrics.jsonl)" -eq 6

# ---- the table from the votes ----------------------------------------------------------------
must_equal <(head -n 1 run/votes.tsv) <(printf 'idx\tlabel\tselect\tcount\thash\n')
must_equal <(head -n 1 run/certify.tsv) <(printf \
    'idx\tlabel\tpredict\tradius\tcorrect\ttime\tp_lower\tn0\tn\tverdict\tslack\tprecision\n')
must_equal <(cut -f1,2 run/votes.tsv) <(cut -f1,2 run/certify.tsv)
must_equal <(cut -f1 run/votes.tsv) <(printf '%s\n' idx 0 2 4 6 8 10 12 14)

# Every row again: counts add up; the class is the first with most votes of the selection; p_lower
# is below the share of votes and the radius is sigma times its quantile (checked by the normal
# distribution, integrated with Simpson's rule); no radius at p_lower <= 1/2.
cat > recompute.awk <<'AWK'
function phi(x,    h, s, i, m) { # P(Z <= x), 0 <= x < 8
    m = 2000; h = x / m; s = 1 + exp(-x * x / 2)
    for (i = 1; i < m; i++) { s += (i % 2 ? 4 : 2) * exp(-(i * h) ^ 2 / 2) }
    return 0.5 + s * h / 3 / sqrt(2 * 3.14159265358979324)
}
function bad(text) { print "image " $1 ": " text; failed = 1 }
function tail(k, n, p,    i, term, sum) { # P(Binomial(n, p) >= k)
    for (i = k; i <= n; i++) {
        term = lg[n] - lg[i] - lg[n - i] + i * log(p) + (n - i) * log(1 - p)
        sum += exp(term)
    }
    return sum
}
BEGIN { FS = "\t"; for (i = 1; i <= n; i++) { lg[i] = lg[i - 1] + log(i) } }
FNR == 1 { next }
FILENAME == votes { label[$1] = $2; select_[$1] = $3; count[$1] = $4; next }
{
    k = split(select_[$1], s, ","); split(count[$1], c, ",")
    best = 1; sum_s = sum_c = 0
    for (i = 1; i <= k; i++) {
        sum_s += s[i]; sum_c += c[i]
        if (s[i] > s[best]) { best = i }
    }
    if (k != 10 || sum_s != n0 || sum_c != n) { bad("the votes do not add up") }
    if ($8 != n0 || $9 != n) { bad("n0 or n is not what was asked") }
    if ($5 != ($3 == label[$1])) { bad("the column correct") }
    top = c[best]
    if ($10 == "certified") {
        certified++
        if ($3 != best - 1) { bad("the class") }
        if (!($7 > 0.5 && $7 < top / n + 1e-9)) { bad("p_lower") }
        t = tail(top, n, $7)
        if (t > alpha * (1 + 1e-6) || t < alpha * (1 - 1e-6)) { bad("p_lower is not the bound " t) }
        p = phi($4 / sigma)
        if (p > $7 + 1e-9 || p < $7 - 1e-5) { bad("the radius") }
    } else {
        abstained++
        if ($3 != -1 || $4 + 0 != 0 || $5 != 0) { bad("an abstention that claims something") }
        if (tail(top, n, 0.5) <= alpha) { bad("an abstention where the votes suffice") }
    }
    if (top in radius && radius[top] != $4) { bad("one count, two radii") }
    radius[top] = $4
}
END {
    for (a in radius) { for (b in radius) {
        if (a + 0 > b + 0 && radius[a] + 0 < radius[b] + 0) {
            print "the radius falls from count " b " to " a; failed = 1
        }
    } }
    print certified + 0, "certified,", abstained + 0, "abstained"
    exit failed
}
AWK
# recompute <directory> <n0> <n>
recompute() {
    check "certify.tsv of $1 follows from votes.tsv" awk -v votes="$1/votes.tsv" -v n0="$2" \
        -v n="$3" -v alpha=0.001 -v sigma=0.25 -f recompute.awk "$1/votes.tsv" "$1/certify.tsv"
}
recompute run 20 300

# So few draws that some images cannot be certified.
must_work 1 certify run.dir=few data.file=one.h5 model.file=run/model.safetensors \
    certify.sigma=0.25 certify.n0=5 certify.n=12
recompute few 5 12
check "some abstain" grep -q 'abstain' few/certify.tsv
sed 's/\t1\t0:/\t0\t0:/' few/certify.tsv > spoiled
check "the check of the table can fail" bash -c '! awk -v votes=few/votes.tsv -v n0=5 -v n=12 \
    -v alpha=0.001 -v sigma=0.25 -f recompute.awk few/votes.tsv spoiled > /dev/null'
