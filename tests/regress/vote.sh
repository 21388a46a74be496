#!/usr/bin/env bash
# A network that votes: evaluate, predict and the first judgement of attack say the same of each
# image, by every rule; the same bytes for any number of ranks and any batch, and after kill -9.
source "$(dirname "$0")/lib.sh"

glyphs glyphs.h5 600 60
must_work 2 train run.dir=net data.file=glyphs.h5 model.name=zcnn train.epochs=5 train.batch=30 \
    train.lr=0.02 model.mean=0.3 model.std=0.25
data=(data.file=glyphs.h5 model.file=net/model.safetensors)
few=("${data[@]}" vote.sigma=0.4 vote.draws=9)

# json <file> <key>: a number or a text.
json() {
    grep -oE "\"$2\": *[^,}]+" "$1" | head -n 1 | sed 's/^[^:]*: *//; s/"//g'
}

for rule in prediction soft logits weighted top2; do
    for job in evaluate predict; do
        must_work 1 $job run.dir=$rule "${few[@]}" vote.rule=$rule
    done
    check "$rule: a share of the vote" grep -q 'share$' $rule/predict.tsv
    check "$rule: shares are no more than 1" awk -F '\t' 'NR > 1 && ($6 <= 0 || $6 > 1) { exit 1 }' \
        $rule/predict.tsv
    right=$(awk -F '\t' 'NR > 1 { s += $5 } END { print s }' $rule/predict.tsv)
    check "$rule: evaluate and predict agree on $right of 60" test \
        "$(tail -n 1 $rule/evaluate.tsv | cut -f 3)" -eq "$right"
    check "$rule: the vote's interval holds its accuracy" awk -v a="$(json $rule/evaluate.json accuracy)" \
        -v l="$(json $rule/evaluate.json lower)" -v u="$(json $rule/evaluate.json upper)" \
        'BEGIN { exit !(l < a && a < u) }'
    must_work 1 attack run.dir=$rule "${few[@]}" vote.rule=$rule attack=clean craft.store=none
    check "$rule: attack judges clean images alike" diff <(tail -n +2 $rule/predict.tsv | cut -f 4) \
        <(tail -n +2 $rule/outcomes.tsv | cut -f 4)
    for ranks in 2 3; do
        sometimes 3 || continue
        for job in evaluate predict; do
            must_work $ranks $job run.dir=$rule-$ranks "${few[@]}" vote.rule=$rule \
                $job.batch=$((ranks * 5))
        done
        must_equal $rule/evaluate.tsv $rule-$ranks/evaluate.tsv
        must_equal $rule/evaluate.json $rule-$ranks/evaluate.json
        must_equal $rule/vote_curve.tsv $rule-$ranks/vote_curve.tsv
        must_equal $rule/predict.tsv $rule-$ranks/predict.tsv
    done
done
# What other rules and fewer draws would say is what they say.
# curve <file> <rule> <draws>: images right.
curve() {
    awk -F '\t' -v rule="$2" -v draws="$3" '$1 == rule && $2 == draws { print $4 }' "$1"
}
for rule in prediction soft logits weighted top2; do
    must_equal soft/vote_curve.tsv $rule/vote_curve.tsv
    check "$rule: the curve ends where the evaluation does" test \
        "$(curve soft/vote_curve.tsv $rule 9)" = "$(tail -n 1 $rule/evaluate.tsv | cut -f 3)"
done
check "five rules, draws 1 2 4 8 9" test "$(wc -l < soft/vote_curve.tsv)" -eq $((1 + 5 * 5))
must_work 1 evaluate run.dir=four "${few[@]}" vote.rule=weighted vote.draws=4
check "four draws of nine are those of four" test "$(curve soft/vote_curve.tsv weighted 4)" = \
    "$(tail -n 1 four/evaluate.tsv | cut -f 3)"
check "rules differ in some image" test "$(for r in prediction soft weighted; do
    cut -f 4 $r/predict.tsv | cksum; done | sort -u | wc -l)" -gt 1
check "a loss where there is a probability" grep -q '"loss"' soft/evaluate.json
check "and none where there is none" test -z "$(json prediction/evaluate.json loss)"
check "one draw has its own accuracy, the same for every rule" test \
    "$(json soft/evaluate.json draw_accuracy)" = "$(json weighted/evaluate.json draw_accuracy)"
must_work 1 evaluate run.dir=again "${few[@]}" vote.rule=soft
must_say 'over all noise [0-9.]+ to [0-9.]+ % with 95 % confidence'
must_say '^one draw +[0-9.]+ %  \([0-9.]+ to '

# Another seed draws otherwise; a quarter of a pixel's range is one deviation.
must_work 1 predict run.dir=seed "${few[@]}" vote.rule=soft run.seed=2
check "other draws" test "$(cksum < soft/predict.tsv)" != "$(cksum < seed/predict.tsv)"
must_work 1 predict run.dir=std "${few[@]}" vote.rule=soft vote.sigma=1.6 vote.units=std
must_equal soft/predict.tsv std/predict.tsv

# Without noise nothing is voted on, whatever the rule.
must_work 1 evaluate run.dir=plain "${data[@]}"
must_work 2 evaluate run.dir=plain2 "${data[@]}" vote.rule=weighted vote.draws=5
must_equal plain/evaluate.json plain2/evaluate.json
check "no draws" test -z "$(json plain/evaluate.json draws)"

# The plane, by votes: shares are eighths.
must_work 1 import import.format=moons import.out=moons.h5
must_work 1 train run.dir=moons data.file=moons.h5 model.name=mlp train.epochs=1
plane=(data.file=moons.h5 model.file=moons/model.safetensors evaluate.regions=9 vote.sigma=0.2 vote.draws=8)
must_work 1 evaluate run.dir=plane "${plane[@]}"
must_work 3 evaluate run.dir=plane3 "${plane[@]}" evaluate.batch=5
must_equal plane/regions.tsv plane3/regions.tsv
check "shares are eighths" awk -F '\t' 'NR > 1 { e = 8 * $4; if (e < 4 || e != int(e)) exit 1 }' \
    plane/regions.tsv
check "some are divided" awk -F '\t' 'NR > 1 && $4 < 1 { n++ } END { exit !n }' plane/regions.tsv

# ---- kill -9 -----------------------------------------------------------------------------------------
# killed <ranks> <job> <arguments...>: every process of a job, as soon as it has kept some answers; in the
# directory killed.
killed() {
    local ranks=$1 job i
    shift
    rm -rf killed
    "$mpiexec" -n "$ranks" --oversubscribe "$testudo" "$@" run.dir=killed > out 2> err < /dev/null &
    job=$!
    for ((i = 0; i < 3000; i++)); do
        ! find killed -path '*/ledger/segment.*' -size +400c 2> /dev/null | grep -q . || break
        sleep 0.01
    done
    pkill -9 -P $job
    kill -9 $job
    wait $job
    must_not_exist "killed/$1.tsv"
} 2> /dev/null

many=("${data[@]}" vote.sigma=0.4 vote.draws=500 vote.rule=soft)
for job in evaluate predict; do
    must_work 1 $job run.dir=whole "${many[@]}" $job.batch=7
    killed 2 $job "${many[@]}" $job.batch=4
    must_fail 2 'other settings' 1 $job run.dir=killed "${many[@]}" vote.second=0.4
    must_work 3 $job run.dir=killed "${many[@]}" $job.batch=5
    check "$job goes on" grep -Eq '^resume: answers about [1-9][0-9]* images are there already' err
    must_equal whole/$job.tsv killed/$job.tsv
    [[ $job == predict ]] || must_equal whole/evaluate.json killed/evaluate.json
done
rm killed/predict.tsv # all answers are kept
must_work 2 predict run.dir=killed "${many[@]}"
check "nothing is left to do" grep -q '^resume: answers about 60 images' err
must_equal whole/predict.tsv killed/predict.tsv
# a record that is not the last of its file, which a kill might have cut off
segment=$(find killed/predict -name 'segment.*' -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
printf x | dd of="$segment" bs=1 seek=100 conv=notrunc status=none
rm killed/predict.tsv
must_fail 1 "${segment##*/}" 2 predict run.dir=killed "${many[@]}"
must_not_exist plain/evaluate # a network that is asked once keeps nothing

# ---- errors --------------------------------------------------------------------------------------
must_fail 2 'vote.rule is median, expected one of prediction' 2 evaluate run.dir=new "${data[@]}" \
    vote.rule=median
must_fail 2 'vote.sigma and vote.rule are for predict.sigma = 0' 1 predict run.dir=new "${few[@]}" \
    predict.sigma=0.25
must_work 1 train run.dir=bare data.file=glyphs.h5 model.name=mlp train.steps=1
must_fail 2 'vote.units = std: .*model.std' 2 evaluate run.dir=new data.file=glyphs.h5 \
    model.file=bare/model.safetensors vote.sigma=1 vote.units=std
must_not_exist new/evaluate.tsv
rm soft/robustness.tsv soft/evaluate.json soft/evaluate.tsv 2> /dev/null
must_work 1 evaluate run.dir=soft "${few[@]}" vote.rule=soft # the vote, and tables of the attack
rm soft/robustness.tsv
must_fail 2 'evaluate.json has another "draws"' 1 evaluate run.dir=soft "${few[@]}" vote.rule=soft \
    vote.draws=8
must_fail 2 'is about a network that votes otherwise' 1 evaluate run.dir=soft "${data[@]}"
rm plain/evaluate.tsv plain/evaluate.json
must_work 1 evaluate run.dir=plain "${data[@]}" vote.noise=false
check "noise layers are off" test "$(json plain/evaluate.json noise)" = off
