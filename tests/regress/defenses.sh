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
# What a row needs besides: an inner attack that is not the first, smaller steps.
declare -A more=([trades]=defense.0.inner=1 [vat]=defense.0.inner=3 [deep_defense]=train.clip=1)

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
    for row in label_smoothing feature_squeezing adversarial trades mart vat input_gradient; do
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
train=(train both.cfg data.file=g.h5 model.name=zcnn train.steps=12 train.batch=32 train.save=2)
must_work 1 "${train[@]}" run.dir=whole
"$testudo" "${train[@]}" run.dir=killed > out 2> err &
pid=$!
until [[ -e killed/checkpoint.h5 ]] || ! kill -0 $pid 2> /dev/null; do
    sleep 0.01
done
kill -9 $pid
wait $pid 2> /dev/null
must_not_exist killed/model.safetensors
must_work 3 "${train[@]}" run.dir=killed
check "it goes on" grep -q '^resume' err
must_equal whole/model.safetensors killed/model.safetensors

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
refuse() { # <regex> <arguments...>
    sometimes 4 || return
    rm -rf bad
    must_fail 2 "$1" 1 train run.dir=bad data.file=g.h5 model.name=zcnn train.steps=1 "${@:2}"
    must_not_exist bad/model.safetensors
}
refuse 'both own the loss' inner.cfg defense=trades,mart
refuse 'of the list inner, which has 0' defense=adversarial
refuse 'of the list inner, which has 4' inner.cfg defense=adversarial defense.0.inner=4
refuse 'rounded noise is for 8-bit' inner.cfg defense=gaussian,adversarial defense.0.noise=rounded
refuse 'no models and no stored set' defense=adversarial inner=fgsm inner.0.models=whole/model.safetensors
refuse 'leaves the box' defense=adversarial inner=fgsm inner.0.eps=2
refuse "layers: 'fc9' is none of the network's: conv1, .*" defense=deep_defense defense.0.layers=conv1,fc9
refuse 'train.norm = fixed: zcnn has no batch' train.norm=fixed

# Deep Defense of some layers, with adversarial training, on a network whose batch norm is fixed.
must_work 1 train run.dir=start data.file=g.h5 model.name=resnet20 model.width=0.25 train.epochs=1 train.batch=32
deep=(train data.file=g.h5 model.file=start/model.safetensors train.steps=3 train.batch=32 train.lr=0.001 train.clip=1
    train.norm=fixed train.weight_decay=0.1 defense=adversarial,deep_defense defense.1.layers=layer1,fc
    inner=fgsm inner.0.eps=0.1)
must_work 1 "${deep[@]}" run.dir=deep
must_work 3 "${deep[@]}" run.dir=deep3
must_equal deep/model.safetensors deep3/model.safetensors
must_differ start/model.safetensors deep/model.safetensors
