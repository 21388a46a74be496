#!/usr/bin/env bash
# Attack sets: shares that part the images, eps drawn by image, sources; the same bytes on any number
# of ranks and after a kill; what reads such sets, and what evaluate and report say of them.
denoiser=$4
source "$(dirname "$0")/lib.sh"

n=256
[[ $mode != brief ]] || n=96
glyphs g.h5 $n 64
glyphs h.h5 128 64
for net in lenet mlp; do
    must_work 1 train run.dir=$net data.file=g.h5 model.name=$net train.steps=40 train.batch=64
done
common=(data.file=g.h5 model.file=lenet/model.safetensors data.split=train craft.store=f32)

# Two layers: clean for all, and five attacks that part the images among them.
cat > set.cfg <<'C'
attack = ( { name = "clean"; },
           { name = "random_noise"; share = 0.2; eps = "15/255"; eps_from = "1/255"; eps_grid = "1/255"; },
           { name = "fgsm"; share = 0.2; eps = "15/255"; eps_from = "1/255"; eps_grid = "1/255"; label = "predicted"; models = "mlp"; },
           { name = "fgsm"; share = 0.2; eps = 0.1; label = "predicted"; models = "lenet,mlp"; },
           { name = "ifgsm"; share = 0.2; steps = 2; eps = 0.1; eps_from = 0.01; models = "lenet,mlp"; },
           { name = "ifgsm"; share = 0.2; steps = 4; eps = "15/255"; models = "lenet,mlp"; } );
C
must_work 1 attack set.cfg "${common[@]}" run.dir=one
must_work 2 attack set.cfg "${common[@]}" run.dir=two craft.batch=5
for file in outcomes.tsv attack.json adversarial.h5; do
    must_equal one/$file two/$file
done
check "the clean row takes all" test "$(awk -F'\t' '$1 == 0' one/outcomes.tsv | wc -l)" -eq $n
check "the others take each image once" test \
    "$(awk -F'\t' 'NR > 1 && $1 > 0 { n[$2]++ } END { for (i in n) if (n[i] != 1) exit 1; print length(n) }' one/outcomes.tsv)" = $n
check "eps are whole grey levels, several" bash -c "awk -F'\t' '\$1 == 1 && \$10 > 0 { e = \$10 * 255; r = int(e + 0.5); if (e - r > 1e-4 || r - e > 1e-4 || r > 15) exit 1; seen[r]++ }
    END { exit length(seen) < 5 }' one/outcomes.tsv"
check "attack.json counts them" test "$(grep -c '"taken"' one/attack.json)" -eq 5
check "attack.json names the sources" grep -A 3 '"sources"' -q one/attack.json
must_say 'random_noise linf 0.00392157 to 0.0588235'

# Killed when so much is in the ledger, resumed on another number of ranks.
for bytes in $((2000 * n)) $([[ $mode == brief ]] || echo $((4700 * n))); do
    rm -rf killed
    kill_when "ledger_holds killed/attack $bytes" attack set.cfg "${common[@]}" run.dir=killed craft.batch=2
    must_not_exist killed/outcomes.tsv
    must_work 3 attack set.cfg "${common[@]}" run.dir=killed
    check "it goes on from what is there" grep -q 'outcomes are there already' err
    must_equal one/outcomes.tsv killed/outcomes.tsv
    must_equal one/adversarial.h5 killed/adversarial.h5
done

# Layers are full, so the set is read as one of two attacks: training on it, and a replay.
must_work 1 train run.dir=trained data.file=g.h5 model.name=lenet train.steps=4 train.batch=64 defense=static_set defense.0.file=one/adversarial.h5
check "two layers of examples are stacked" grep -q "stack static_set: 2 times $n images" err
must_work 1 attack "${common[@]}" run.dir=replay attack=transfer attack.0.from=one/adversarial.h5 attack.0.row=1
check "a replay is judged alike" diff <(awk -F'\t' 'NR > 1 && $1 > 0 { print $2, $5 }' one/outcomes.tsv | sort -n) <(awk 'NR > 1 { print $2, $5 }' replay/outcomes.tsv)
cp lenet/model.safetensors one/
must_work 2 evaluate run.dir=one data.file=g.h5 evaluate.distance=true data.split=test evaluate.max=64
check "a row of robustness.tsv counts the images that were taken" bash -c "diff <(awk -F'\t' 'NR > 1 && \$1 != \"worst\" { print \$5 }' one/robustness.tsv) <(cut -f 1 one/outcomes.tsv | tail -n +2 | uniq -c | awk '{ print \$1 }')"

# The set layer by layer, and behind a denoiser that changes nothing: the same tables on any ranks.
run_denoiser() { check "a denoiser is written" paint_with "$denoiser" "$1" 28 28 1 "$2"; }
run_denoiser nothing.safetensors 0
run_denoiser wild.safetensors 30
seen=(data.file=g.h5 model.file=lenet/model.safetensors evaluate.set=one/adversarial.h5)
must_work 1 evaluate "${seen[@]}" run.dir=seen model.denoiser=nothing.safetensors
must_say 'adversarial set '
must_work 3 evaluate "${seen[@]}" run.dir=seen3 model.denoiser=nothing.safetensors evaluate.batch=13
for file in denoising.tsv layers.tsv perturbation.tsv samples.h5; do
    must_equal seen/$file seen3/$file
done
must_work 1 evaluate "${seen[@]}" run.dir=wild model.denoiser=wild.safetensors evaluate.set_attack=5 evaluate.set_max=10
check "it changes nothing: slope 0, the loss stays, all levels too" awk -F'\t' \
    'FILENAME ~ /denoising/ && FNR > 1 { if ($3 != $4 || ($5 != 0 && $5 != "-") || $8 != $10) exit 1 }
     FILENAME ~ /layers/ && FNR > 1 { if ($4 != $6) exit 1 }' seen/denoising.tsv seen/layers.tsv
check "clean images have no perturbation, at any layer" awk -F'\t' \
    'FNR > 1 && $1 == "clean" && FILENAME ~ /layers/ { n++; if ($4 != 0 || $5 != 0) exit 1 } END { exit n != 5 }' seen/layers.tsv
check "an attack gets further up than noise of its size" awk -F'\t' \
    '$1 ~ /^ifgsm linf 0.0588/ && $3 == "logits" { n++; if ($4 <= 2 * $5) exit 1 } END { exit n != 1 }' seen/layers.tsv
check "every pixel is in the histogram" test "$(awk -F'\t' 'NR > 1 { n += $3 } END { print n }' seen/perturbation.tsv)" -eq $((2 * n * 784))
check "ten images of one attack" test "$(cut -f 2 wild/denoising.tsv | tr '\n' ' ')" = 'images 10 10 '
must_work 1 evaluate "${seen[@]}" run.dir=plain
must_not_exist plain/perturbation.tsv
check "without a denoiser its columns are empty" awk -F'\t' 'FNR > 1 && ($4 != "-" || $10 != "-") { exit 1 }' plain/denoising.tsv
# A report draws them, side by side, and shows a training set's images.
if command -v gnuplot > /dev/null; then
    must_work 2 report report.from=seen,wild,plain,one report.out=drawn data.file=g.h5
    for file in denoising.tsv layers.svg perturbation.svg samples_seen.png samples_plain.png contact_one.png; do
        must_exist drawn/$file
    done
    check "a denoiser that changes nothing is as good as the attack" grep -q 'seen: adversarial' drawn/layers.gp
fi

# Images of some classes alone, on any number of ranks.
for ranks in 1 3; do
    must_work $ranks attack "${common[@]}" run.dir=some$ranks attack=clean,fgsm attack.1.eps=0.1 craft.classes=2,5 craft.batch=$((3 * ranks))
    check "no other class is attacked" test "$(awk -F'\t' 'NR > 1 { print $3 }' some$ranks/outcomes.tsv | sort -u | tr '\n' ' ')" = '2 5 '
done
must_equal some1/outcomes.tsv some3/outcomes.tsv
must_equal some1/adversarial.h5 some3/adversarial.h5

# A layer that is not full is no set of all images; what cannot be is refused.
refuse() {
    sometimes 3 || return
    must_fail "$@"
}
must_work 1 attack "${common[@]}" run.dir=half attack=clean,fgsm attack.1.share=0.5
refuse 2 'half/adversarial.h5 holds .* in layers that are not full' 1 train run.dir=bad data.file=g.h5 model.name=lenet train.steps=4 defense=static_set defense.0.file=half/adversarial.h5
refuse 2 'some1/adversarial.h5 holds .* in layers that are not full' 1 train run.dir=bad data.file=g.h5 model.name=lenet train.steps=4 defense=static_set defense.0.file=some1/adversarial.h5
refuse 2 'craft.classes: 10 is no class: 0 to 9 expected' 1 attack "${common[@]}" run.dir=bad attack=fgsm craft.classes=3,10
refuse 2 'no craft.classes expected' 1 attack "${common[@]}" run.dir=bad attack=fgsm attack.0.eps=0.5 craft.eps_ref=0.5 craft.classes=3
refuse 2 'attacked is row 2: a set of the same images' 1 attack "${common[@]}" run.dir=bad attack=transfer attack.0.from=one/adversarial.h5 craft.skip=2
refuse 2 'share = 1 expected' 1 attack "${common[@]}" run.dir=bad attack=fgsm attack.0.share=0.5 attack.0.eps=0.5 craft.eps_ref=0.5
refuse 2 'eps_from = 0 expected' 1 attack "${common[@]}" run.dir=bad attack=fgsm attack.0.eps_from=0.1 attack.0.eps=0.5 craft.eps_ref=0.5
refuse 2 'attack.0.share' 1 attack "${common[@]}" run.dir=bad attack=fgsm attack.0.share=1.5
refuse 2 'attack.0.eps_from = 0.3: no more than eps' 2 attack "${common[@]}" run.dir=bad attack=fgsm attack.0.eps_from=0.3
refuse 2 'no image was taken' 1 attack "${common[@]}" run.dir=none attack=fgsm attack.0.share=1e-6 craft.max=4
refuse 2 "inner.0.share" 1 train run.dir=bad data.file=g.h5 model.name=lenet defense=adversarial inner=fgsm inner.0.share=0.5
refuse 2 'evaluate.set = two/adversarial.h5 is of the data set' 1 evaluate run.dir=bad data.file=h.h5 model.file=lenet/model.safetensors evaluate.set=two/adversarial.h5
refuse 2 'does not say where its images come from' 1 evaluate "${seen[@]}" run.dir=bad1 evaluate.set=g.h5
refuse 2 'model.denoiser = lenet/model.safetensors holds a lenet, which gives classes' 2 evaluate "${seen[@]}" run.dir=bad2 model.denoiser=lenet/model.safetensors
refuse 2 'the set holds attacks 0 to 5' 1 evaluate "${seen[@]}" run.dir=bad3 evaluate.set_attack=6
