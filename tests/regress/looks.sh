#!/usr/bin/env bash
# Sequential certification: the same bytes for any number of ranks and any batch, and after a kill;
# images stop at looks of their schedule; certificates say how many draws are behind them.
source "$(dirname "$0")/lib.sh"

# looks <directory> <ranks> <settings...>
looks() {
    local name=$1 ranks=$2
    shift 2
    must_work "$ranks" certify run.dir="$name" data.file=glyphs.h5 \
        model.file=model/model.safetensors certify.hash=1 certify.sigma=0.25 certify.n0=30 \
        certify.n=1600 certify.alpha=0.01 "$@"
}

# same <name> <ranks> <batch> <settings...>: as <name>.1, byte by byte but for the time.
same() {
    local name=$1 ranks=$2 batch=$3
    shift 3
    sometimes 3 || return
    looks "$name.$ranks" "$ranks" certify.batch="$batch" "$@"
    must_equal_runs "$name.1" "$name.$ranks"
}

must_equal_runs() {
    must_equal "$1/votes.tsv" "$2/votes.tsv"
    must_equal "$1/schedule.json" "$2/schedule.json"
    must_equal "$1/certificates.h5" "$2/certificates.h5"
    check "the certificates of $1 and $2 are the same" cmp -s <(cut -f1-5,7- "$1/certify.tsv") \
        <(cut -f1-5,7- "$2/certify.tsv")
}

# votes_are_draws <name>: the counts of an image add up to the draws of its certificate.
votes_are_draws() {
    check "the votes of $1 are those of the look where it stopped" awk -F '\t' '
        NR == FNR { n[$1] = $9; next }
        FNR > 1 { m = split($4, c, ","); s = 0; for (i = 1; i <= m; i++) s += c[i]; bad += s != n[$1] }
        END { exit bad > 0 || FNR < 2 }' "$1/certify.tsv" "$1/votes.tsv"
}

glyphs glyphs.h5 512 8
defenses noise.cfg 'name = "gaussian"; sigma = 0.25;'
must_work 2 train noise.cfg run.dir=model data.file=glyphs.h5 model.name=zcnn train.lr=0.02 \
    train.epochs=4

radii=(certify.mode=radii certify.radii=0.1,0.3)
looks radii.1 1 "${radii[@]}"
must_say 'mode radii, test group: [0-9]+ draws an image on average, of at most 1600'
votes_are_draws radii.1
check "draws are those of looks" test -z "$(tail -n +2 radii.1/certify.tsv | cut -f9 |
    grep -Evx '200|400|800|1600')"
check "some images stop early" grep -Eq $'\t(200|400|800)\t' <(cut -f8-10 radii.1/certify.tsv)
check "no target is certified and missed" test -z "$(awk -F '\t' '
    NR > 1 && $10 == "certified" && $4 < 0.1' radii.1/certify.tsv)"
same radii 2 17 "${radii[@]}"
same radii 3 64 "${radii[@]}"
same radii 4 1 "${radii[@]}"

# The other modes.
kt=("${radii[@]}" certify.test=kt)
looks kt.1 1 "${kt[@]}"
votes_are_draws kt.1
same kt 3 33 "${kt[@]}"
tolerance=(certify.mode=tolerance certify.tolerance=0.15)
looks tolerance.1 2 "${tolerance[@]}"
votes_are_draws tolerance.1
same tolerance 4 17 "${tolerance[@]}"
million=(certify.mode=million certify.tolerance=0.2)
looks million.1 1 "${million[@]}"
votes_are_draws million.1
check "looks at a tenth and at all" test -z "$(tail -n +2 million.1/certify.tsv | cut -f9 |
    grep -Evx '200|1600')"
same million 2 64 "${million[@]}"

# Another seed gives other votes; the same decisions from the ledger alone, on other ranks.
looks seed 2 "${radii[@]}" run.seed=2
must_differ radii.1/votes.tsv seed/votes.tsv
cp -r radii.1 again
rm again/votes.tsv again/certify.tsv again/certificates.h5
looks again 3 "${radii[@]}"
check "nothing was drawn again" grep -q '^resume' err
must_equal_runs radii.1 again

# Killed at some look, started again on other ranks.
for at in 1 2 3; do
    kill_when "grep -q 'look $at of' out err" certify run.dir="killed$at" data.file=glyphs.h5 \
        model.file=model/model.safetensors certify.hash=1 certify.sigma=0.25 certify.n0=30 \
        certify.n=1600 certify.alpha=0.01 "${radii[@]}"
    [[ ! -e killed$at/votes.tsv ]] || rm "killed$at/votes.tsv" "killed$at/certify.tsv"
    looks "killed$at" $((at + 1)) "${radii[@]}"
    must_equal_runs radii.1 "killed$at"
done

# Votes of one schedule are not looked at by another; what cannot be is refused.
rm again/votes.tsv again/certify.tsv
wrong() {
    local regex=$1
    shift
    must_fail 2 "$regex" 1 certify run.dir=again data.file=glyphs.h5 \
        model.file=model/model.safetensors certify.hash=1 certify.sigma=0.25 certify.n0=30 \
        certify.n=1600 certify.alpha=0.01 "$@"
}
wrong 'other settings' certify.mode=radii certify.radii=0.1,0.2
wrong 'other settings' "${radii[@]}" certify.beta=0.01
wrong 'they must ascend' certify.mode=radii certify.radii=0.3,0.1
wrong 'certify.test = kt is for' "${million[@]}" certify.test=kt
