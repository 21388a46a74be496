#!/usr/bin/env bash
# Every row of the table of defenses trains: weights with the same bytes on any number of ranks, and
# after a kill; what rows make of each other, what is stacked behind the images, what is refused.
source "$(dirname "$0")/lib.sh"

glyphs g.h5 320 40
cat > inner.cfg <<'C'
inner = ( { name = "pgd"; eps = 0.1; steps = 3; keep = "last"; },
          { name = "pgd"; eps = 0.1; steps = 2; loss = "kl"; start = "normal"; keep = "last"; },
          { name = "fgsm"; eps = 0.2; label = "predicted"; }, { name = "vat"; eps = 1; },
          { name = "epgd"; eps = 0.1; steps = 2; draws = 2; }, { name = "smoothadv"; eps = 1; steps = 2; form = "ddn"; } );
C
# A network without defenses, and what DeepFool makes of its training images.
long=(data.file=g.h5 model.name=lenet train.epochs=8 train.batch=32)
craft=(attack data.file=g.h5 model.file=plain/model.safetensors data.split=train craft.store=f32)
must_work 2 train run.dir=plain "${long[@]}"
must_work 2 "${craft[@]}" run.dir=crafted attack=deepfool
# Stored networks to train with; one is for other images.
short=(model.name=mlp train.steps=5 train.batch=32)
must_work 1 import import.format=moons import.out=m.h5 import.train=32 import.test=8
must_work 1 train run.dir=teacher data.file=g.h5 "${short[@]}" defense=distillation defense.0.teacher=labels
must_work 1 train run.dir=second data.file=g.h5 "${short[@]}" run.seed=2
must_work 1 train run.dir=moons data.file=m.h5 "${short[@]}"
# What a row needs besides: an inner attack that is not the first, smaller steps, what is stored.
declare -A more=([trades]=defense.0.inner=1 [vat]=defense.0.inner=3 [deep_defense]=train.clip=1
    [static_set]=defense.0.file=crafted/adversarial.h5 [distillation]=defense.0.teacher=teacher
    [consistency]=defense=consistency,gaussian [cni]=train.clip=1 [smooth_adversarial]=defense=smooth_adversarial,gaussian
    [smooth_ddn]="defense=gaussian,smooth_adversarial defense.1.inner=5 defense.1.draws=3 defense.1.train=first defense.1.eps_warmup=3"
    [epgd_rse]="defense=rse,adversarial defense.1.inner=4" [epgd_pni]="defense=pni,adversarial defense.1.inner=4 defense.1.share=0.5"
    [epgd_cni]="defense=cni,adversarial defense.1.inner=4 train.clip=0.05 train.steps=2"
    [noisy_image]="defense.0.on=image defense.0.grain=element" [noisy_inputs]="defense.0.on=inputs defense.0.grain=channel"
    [colored_outputs]="defense.0.on=outputs defense.0.linear=plain"
    [guided_denoiser]="defense.0.guide=plain defense.0.sets=crafted/adversarial.h5 model.name=dunet model.width=0.0625"
    [ensemble_adversarial]=defense.0.sources=teacher,second/model.safetensors)

# train_row <directory> <ranks> <arguments...>
train_row() {
    must_work "$2" train inner.cfg run.dir="$1" data.file=g.h5 model.name=zcnn train.steps=10 train.batch=32 "${@:3}"
}

must_work 1 list defenses
mapfile -t rows < <(grep -o '^[a-z_0-9]*' out | grep .)
# The table, and other ways of some of its rows.
ways=("${rows[@]}" copies noisy_image noisy_inputs colored_outputs smooth_ddn epgd_rse epgd_pni epgd_cni)
declare -A row_of=([copies]=gaussian [noisy_image]=pni [noisy_inputs]=pni [colored_outputs]=cni
    [smooth_ddn]=gaussian [epgd_rse]=rse [epgd_pni]=pni [epgd_cni]=cni)
more[copies]="defense.0.copies=2 defense.0.noise=uniform defense.0.clip=1"
check "there are rows" test "${#rows[@]}" -ge 8
for row in "${rows[@]}"; do
    check "$row has a citation" grep -Eq "^$row .*\[.*[12][0-9]{3}.*\]" out
done
turn=0
for way in "${ways[@]}"; do
    sometimes 5 || continue
    args=(defense="${row_of[$way]:-$way}" ${more[$way]:-})
    train_row "$way" 1 "${args[@]}"
    several=(2 3 4)
    [[ $mode == thorough ]] || several=($((2 + turn++ % 3))) # of 2, 3 and 4 ranks each in turn
    for ranks in "${several[@]}"; do
        train_row other "$ranks" "${args[@]}"
        must_equal "$way/model.safetensors" other/model.safetensors
        rm -rf other
    done
done

# Rows change training, each in its way.
if [[ $mode != brief ]]; then
    for row in copies static_set label_smoothing feature_squeezing adversarial trades mart vat input_gradient \
               ensemble_adversarial distillation parseval consistency rse pni cni noisy_image noisy_inputs colored_outputs \
               smooth_adversarial smooth_ddn epgd_rse epgd_pni epgd_cni; do
        must_differ gaussian/model.safetensors $row/model.safetensors
        must_differ brelu/model.safetensors $row/model.safetensors
    done
fi

# One copy and no weights: the loss is the cross entropy; a second copy is another draw.
if [[ $mode != brief ]]; then
    for copies in 1 2; do
        train_row copies$copies 2 defense=gaussian,consistency defense.1.copies=$copies defense.1.lambda=0 defense.1.eta=0
    done
    must_equal gaussian/model.safetensors copies1/model.safetensors
    must_differ gaussian/model.safetensors copies2/model.safetensors
fi

# Random networks: what comes of an image depends on its key alone, not on ranks or batches, also where
# one draw of the weights serves all images; a vote wants its own.
for row in rse pni cni colored_outputs; do
    [[ -e $row/model.safetensors ]] || continue # brief: not all were trained
    for ranks in 1 3; do
        for share in row batch; do
            rm -rf $share$ranks
            mkdir $share$ranks
            cp $row/model.safetensors $share$ranks
            must_work $ranks evaluate run.dir=$share$ranks data.file=g.h5 noise.share=$share vote.draws=8 evaluate.batch=$((5 * ranks))
        done
        must_work $ranks certify run.dir=row$ranks data.file=g.h5 certify.sigma=0.2 certify.n=100 certify.n0=10 \
            certify.max=4 certify.hash=true certify.batch=$((3 * ranks))
        must_work $ranks attack run.dir=batch$ranks data.file=g.h5 attack=pgd attack.0.steps=2 attack.0.eps=0.1 \
            attack.0.draws=2 vote.draws=4 craft.max=6 craft.batch=$((2 * ranks))
    done
    for share in row batch; do
        must_equal ${share}1/evaluate.tsv ${share}3/evaluate.tsv
    done
    must_equal row1/votes.tsv row3/votes.tsv
    must_equal batch1/outcomes.tsv batch3/outcomes.tsv
    must_fail 2 'noise.share = batch: votes of an image want draws of their own' 1 certify run.dir=batch1 \
        data.file=g.h5 certify.sigma=0.2 certify.n=100 certify.max=1 noise.share=batch
done

# Together, and after a kill; the stored set is known by its content, not by its name.
cat > both.cfg <<'C'
defense = ( { name = "gaussian"; sigma = 0.1; }, { name = "brelu"; t = 2.0; }, { name = "label_smoothing"; },
            { name = "adversarial"; share = 0.5; mix = "probability"; eps_from = 0.05; inner = 2; }, { name = "input_gradient"; },
            { name = "gaussian"; copies = 2; noise = "rounded"; sigma = 0.2; clip = true; }, { name = "static_set"; },
            { name = "parseval"; beta = 0.01; } );
C
cat inner.cfg >> both.cfg
# killed <arguments...>: a run that is killed as soon as it has left a checkpoint.
killed() {
    rm -rf killed
    kill_when '[[ -e killed/checkpoint.h5 ]]' "$@" run.dir=killed
    must_not_exist killed/model.safetensors
}
must_work 2 "${craft[@]}" run.dir=others attack=fgsm attack.0.eps=0.1
train=(train both.cfg data.file=g.h5 model.name=zcnn train.steps=12 train.batch=32 train.save=2 train.val_share=0.2)
must_work 1 "${train[@]}" run.dir=whole defense.6.file=crafted/adversarial.h5
check "768 copies and examples beside 256 images" grep -q '1024 images' err
killed "${train[@]}" defense.6.file=crafted/adversarial.h5
must_fail 2 'of a run with other settings' 1 "${train[@]}" run.dir=killed defense.6.file=others/adversarial.h5
mv crafted moved
must_work 3 "${train[@]}" run.dir=killed defense.6.file=moved/adversarial.h5
mv moved crafted
check "it goes on" grep -q '^resume' err
must_equal whole/model.safetensors killed/model.safetensors

# Attacks on a random network, and on a smoothed one, with warm-up.
for defense in pni,adversarial gaussian,smooth_adversarial; do
    sometimes 2 || continue
    train=(train inner.cfg data.file=g.h5 model.name=zcnn train.epochs=2 train.steps=12 train.batch=32 train.save=2 defense=$defense defense.1.inner=4)
    [[ $defense != *smooth* ]] || train+=(defense.1.inner=5 defense.1.eps_warmup=2)
    rm -rf unbroken
    must_work 2 "${train[@]}" run.dir=unbroken
    killed "${train[@]}"
    must_work 3 "${train[@]}" run.dir=killed
    check "it goes on" grep -q '^resume' err
    must_equal unbroken/model.safetensors killed/model.safetensors
done

# A plain network is a start for a random one, whose own parameters start as ever; and goes on with noise
# on its input.
tune=(train data.file=g.h5 train.steps=1 train.batch=32)
must_work 2 "${tune[@]}" run.dir=fresh model.file=plain/model.safetensors defense=cni train.lr=0
check "what starts afresh is told" grep -q 'plain/model.safetensors: 6 parameters of cni (.* numbers) are not in it and start afresh' err
must_work 1 evaluate run.dir=plain data.file=g.h5
must_work 1 evaluate run.dir=fresh data.file=g.h5 vote.noise=false
must_equal plain/evaluate.tsv fresh/evaluate.tsv
must_work 2 "${tune[@]}" run.dir=more model.file=fresh/model.safetensors defense=cni,gaussian train.clip=0.05
check "nothing starts afresh" test -z "$(grep afresh err)"
must_differ fresh/model.safetensors more/model.safetensors
must_fail 1 'tensor .*alpha.* is unexpected' 1 "${tune[@]}" run.dir=back model.file=fresh/model.safetensors defense=gaussian
must_fail 1 'tensor .*alpha.* is unexpected' 1 "${tune[@]}" run.dir=back model.file=fresh/model.safetensors defense=pni
must_work 1 "${tune[@]}" run.dir=small model.name=lenet model.init=rse defense=rse train.lr=0

if [[ $mode != brief ]]; then
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

    # Training on examples that were crafted once, "Adv. Training I": they are learned, and so are their
    # labels; DeepFool's own network misses nearly all of them.
    right() { awk -F'\t' '$3 == $5' "$1/outcomes.tsv" | wc -l; }
    must_work 2 train run.dir=tuned data.file=g.h5 model.file=plain/model.safetensors train.epochs=8 train.batch=32 train.lr=0.02 \
        defense=static_set defense.0.file=crafted/adversarial.h5 defense.0.mode=replace
    must_work 2 attack run.dir=tuned data.file=g.h5 data.split=train attack=transfer attack.0.from=crafted/adversarial.h5
    check "right on $(right tuned) of 320 examples, the first network on $(right crafted)" \
        test "$(right crafted)" -lt 80 -a "$(right tuned)" -gt 240
fi

# Adversarial training is worth something.
if [[ $mode != brief ]]; then
    must_work 2 train inner.cfg run.dir=hard "${long[@]}" defense=adversarial
    for net in plain hard; do
        must_work 2 attack run.dir=$net data.file=g.h5 attack=pgd attack.0.eps=0.1
    done
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
refuse 'of the list inner, which has 6' inner.cfg defense=adversarial defense.0.inner=6
refuse 'smooth_adversarial. attacks the network behind noise, .* gaussian with copies = 0 expected' inner.cfg defense=smooth_adversarial
refuse 'inner.0.draws: defense.1 .smooth_adversarial. has draws = 2' defense=gaussian,smooth_adversarial inner=pgd inner.0.draws=3
refuse 'inner.4.draws: defense.1 .smooth_adversarial. has draws = 3' inner.cfg defense=gaussian,smooth_adversarial \
    defense.1.inner=4 defense.1.draws=3
refuse 'inner.0.redraw: defense.1 .smooth_adversarial. has' defense=gaussian,smooth_adversarial inner=epgd inner.0.redraw=step
refuse 'model.init: weights start with those of plain/model.safetensors' model.init=rse model.file=plain/model.safetensors model.name=lenet
refuse 'consistency. compares draws .* gaussian with copies = 0 expected' defense=consistency
refuse 'defense.1.copies' defense=gaussian,consistency defense.1.copies=17
refuse 'rounded noise is for 8-bit' inner.cfg defense=gaussian,adversarial defense.0.noise=rounded
refuse 'no models and no stored set' defense=adversarial inner=fgsm inner.0.models=whole/model.safetensors
refuse 'leaves the box' defense=adversarial inner=fgsm inner.0.eps=2
refuse 'defense.0.file is missing: adversarial.h5' defense=static_set
refuse 'defense.0.file is not there: nowhere.h5' defense=static_set defense.0.file=nowhere.h5
refuse 'g.h5 is a data set, not a stored set' defense=static_set defense.0.file=g.h5
must_fail 2 'certify.noise.*rounded' 1 certify run.dir=plain data.file=g.h5 certify.sigma=0.1 certify.noise=uniform
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
for row in "ensemble_adversarial defense.0.sources=teacher" "distillation defense.0.teacher=teacher"; do
    sometimes 3 || continue
    must_fail 2 'which only the job train makes ready' 1 bench inner.cfg bench.what=train model.name=mlp \
        bench.seconds=0.01 defense=${row}
done

# An attack by scores alone will do.
if [[ $mode != brief ]]; then
    must_work 2 train run.dir=scores data.file=g.h5 "${short[@]}" train.steps=1 defense=adversarial inner=nattack \
        inner.0.population=4 inner.0.steps=2
fi
refuse 'rse. would do nothing: model.name = mlp has no convolutions' defense=rse model.name=mlp
refuse 'defense.0.on is ' defense=pni defense.0.on=everything
refuse "layers: 'fc9' is none of the network's: conv1, .*" defense=deep_defense defense.0.layers=conv1,fc9
refuse 'train.norm = fixed: zcnn has no batch' train.norm=fixed

if [[ $mode != brief ]]; then
    # Deep Defense of some layers, with adversarial training, on a network whose batch norm is fixed.
    must_work 1 train run.dir=start data.file=g.h5 model.name=resnet20 model.width=0.25 train.epochs=1 train.batch=32
    deep=(train data.file=g.h5 model.file=start/model.safetensors train.steps=3 train.batch=32 train.lr=0.001 train.clip=1
        train.norm=fixed train.weight_decay=0.1 defense=adversarial,deep_defense defense.1.layers=layer1,fc
        inner=fgsm inner.0.eps=0.1)
    must_work 1 "${deep[@]}" run.dir=deep
    must_work 3 "${deep[@]}" run.dir=deep3
    must_equal deep/model.safetensors deep3/model.safetensors
    must_differ start/model.safetensors deep/model.safetensors
fi
