#!/usr/bin/env bash
# Every row of the table of defenses trains: weights with the same bytes on any number of ranks, and
# after a kill; what rows make of each other, and what is refused.
source "$(dirname "$0")/lib.sh"

glyphs g.h5 320 40
cat > inner.cfg <<'C'
inner = ( { name = "pgd"; eps = 0.1; steps = 3; keep = "last"; },
          { name = "pgd"; eps = 0.1; steps = 2; loss = "kl"; start = "normal"; keep = "last"; },
          { name = "fgsm"; eps = 0.2; label = "predicted"; }, { name = "vat"; eps = 1; } );
C
# Stored networks to train with; one is for other images.
short=(model.name=mlp train.steps=5 train.batch=32)
must_work 1 import import.format=moons import.out=m.h5 import.train=32 import.test=8
must_work 1 train run.dir=teacher data.file=g.h5 "${short[@]}" defense=distillation defense.0.teacher=labels
must_work 1 train run.dir=second data.file=g.h5 "${short[@]}" run.seed=2
must_work 1 train run.dir=moons data.file=m.h5 "${short[@]}"
# What a row needs besides: an inner attack that is not the first, smaller steps, stored networks.
declare -A more=([trades]=defense.0.inner=1 [vat]=defense.0.inner=3 [deep_defense]=train.clip=1
                 [distillation]=defense.0.teacher=teacher
                 [ensemble_adversarial]=defense.0.sources=teacher,second/model.safetensors)

# train_row <directory> <ranks> <arguments...>
train_row() {
    must_work "$2" train inner.cfg run.dir="$1" data.file=g.h5 model.name=zcnn train.steps=10 train.batch=32 "${@:3}"
}

must_work 1 list defenses
mapfile -t rows < <(grep -o '^[a-z_0-9]*' out | grep .)
check "there are rows" test "${#rows[@]}" -ge 8
for row in "${rows[@]}"; do
    check "$row has a citation" grep -Eq "^$row .*\[.*[12][0-9]{3}.*\]" out
done
for row in "${rows[@]}"; do
    sometimes 3 || continue
    args=(defense="$row" ${more[$row]:-})
    train_row "$row" 1 "${args[@]}"
    for ranks in 2 3 4; do
        [[ $mode != brief || $ranks -eq 3 ]] || continue
        train_row other "$ranks" "${args[@]}"
        must_equal "$row/model.safetensors" other/model.safetensors
        rm -rf other
    done
done

# Rows change training, each in its way.
if [[ $mode != brief ]]; then
    for row in label_smoothing feature_squeezing adversarial trades mart vat input_gradient \
               ensemble_adversarial distillation; do
        must_differ gaussian/model.safetensors $row/model.safetensors
        must_differ brelu/model.safetensors $row/model.safetensors
    done
fi

# Together, and after a kill.
cat > both.cfg <<'C'
defense = ( { name = "gaussian"; sigma = 0.1; }, { name = "brelu"; t = 2.0; }, { name = "label_smoothing"; },
            { name = "adversarial"; share = 0.5; mix = "probability"; eps_from = 0.05; inner = 2; }, { name = "input_gradient"; } );
C
cat inner.cfg >> both.cfg
# killed <arguments...>: a run that is killed as soon as it has left a checkpoint.
killed() {
    rm -rf killed
    "$testudo" "$@" run.dir=killed > out 2> err &
    pid=$!
    until [[ -e killed/checkpoint.h5 ]] || ! kill -0 $pid 2> /dev/null; do
        sleep 0.01
    done
    kill -9 $pid
    wait $pid 2> /dev/null
    must_not_exist killed/model.safetensors
}
train=(train both.cfg data.file=g.h5 model.name=zcnn train.steps=12 train.batch=32 train.save=2)
must_work 1 "${train[@]}" run.dir=whole
killed "${train[@]}"
must_work 3 "${train[@]}" run.dir=killed
check "it goes on" grep -q '^resume' err
must_equal whole/model.safetensors killed/model.safetensors

# Of a teacher what counts is what it says, not where it lies.
train=(train data.file=g.h5 model.name=zcnn train.steps=12 train.batch=32 train.save=2
       defense=gaussian,distillation defense.1.teacher=teacher)
must_work 2 "${train[@]}" run.dir=student
check "run.json names the teacher" grep -Eq '"teacher": "[0-9a-f]{16}"' student/run.json
killed "${train[@]}"
must_fail 2 'other settings, data' 1 "${train[@]}" run.dir=killed defense.1.teacher=second
must_fail 2 'other settings, data' 1 "${train[@]}" run.dir=killed defense.1.teacher=labels
cp teacher/model.safetensors moved.safetensors
must_work 3 "${train[@]}" run.dir=killed defense.1.teacher=moved.safetensors
check "it goes on" grep -q '^resume' err
must_equal student/model.safetensors killed/model.safetensors

# Adversarial training is worth something.
long=(data.file=g.h5 model.name=lenet train.epochs=8 train.batch=32)
if [[ $mode != brief ]]; then
    must_work 2 train run.dir=plain "${long[@]}"
    must_work 2 train inner.cfg run.dir=hard "${long[@]}" defense=adversarial
    for net in plain hard; do
        must_work 2 attack run.dir=$net data.file=g.h5 attack=pgd attack.0.eps=0.1
    done
    right() { awk -F'\t' '$3 == $5' "$1/outcomes.tsv" | wc -l; }
    check "it withstands more: $(right hard) of 40 against $(right plain)" test "$(right hard)" -gt "$(right plain)"
fi

# One clear line each.
refuse() { # [-1] <regex> <arguments...>: exit code 2, or 1
    local want=2
    [[ $1 != -1 ]] || { want=1; shift; }
    sometimes 4 || return
    rm -rf bad
    must_fail $want "$1" 1 train run.dir=bad data.file=g.h5 model.name=zcnn train.steps=1 "${@:2}"
    must_not_exist bad/model.safetensors
}
refuse 'both own the loss' inner.cfg defense=trades,mart
refuse 'of the list inner, which has 0' defense=adversarial
refuse 'of the list inner, which has 4' inner.cfg defense=adversarial defense.0.inner=4
refuse 'rounded noise is for 8-bit' inner.cfg defense=gaussian,adversarial defense.0.noise=rounded
refuse 'no models and no stored set' defense=adversarial inner=fgsm inner.0.models=whole/model.safetensors
refuse 'leaves the box' defense=adversarial inner=fgsm inner.0.eps=2
refuse 'inner.0 .clean. asks no network anything' defense=adversarial inner=clean
refuse 'inner.0 .random_noise. asks no network' defense=mart inner=random_noise
refuse 'missing teacher: defense.0.teacher' defense=distillation
refuse 'missing sources: defense.0.sources' inner.cfg defense=ensemble_adversarial
refuse -1 'nowhere: cannot be opened' defense=distillation defense.0.teacher=nowhere
refuse -1 'nowhere: cannot be opened' inner.cfg defense=ensemble_adversarial defense.0.sources=teacher,nowhere
refuse 'moons/model.safetensors is for images of 1x1x2' defense=distillation defense.0.teacher=moons
refuse 'moons/model.safetensors is for images of 1x1x2' inner.cfg defense=ensemble_adversarial \
    defense.0.sources=teacher,moons
refuse 'defense.0.teacher = teacher,second: one network' defense=distillation defense.0.teacher=teacher,second
refuse 'trades. and defense.1 .distillation. both own the loss' inner.cfg defense=trades,distillation \
    defense.1.teacher=teacher
refuse 'defense.0 .label_smoothing. changes labels' defense=label_smoothing,distillation defense.1.teacher=teacher
refuse 'defense.0 .brelu. and defense.1 .brelu. both replace activations' defense=brelu,brelu
for row in adversarial "ensemble_adversarial defense.0.sources=teacher" "distillation defense.0.teacher=teacher"; do
    sometimes 3 || continue
    must_fail 2 'which only the job train makes ready' 1 bench inner.cfg bench.what=train model.name=mlp \
        bench.seconds=0.01 defense=${row}
done

# An attack by scores alone will do.
if [[ $mode != brief ]]; then
    must_work 2 train run.dir=scores data.file=g.h5 "${short[@]}" train.steps=1 defense=adversarial inner=nattack \
        inner.0.population=4 inner.0.steps=2
fi
