#!/usr/bin/env bash
# Votes, and hashes of all logits, are the same bytes for any number of ranks, any batch, any
# number of threads; for both laws of the noise, for networks with and without batch
# normalisation.
source "$(dirname "$0")/lib.sh"

# votes <name> <ranks> <settings...>: a certification with hashes, into the directory <name>.
votes() {
    local name=$1 ranks=$2
    shift 2
    must_work "$ranks" certify run.dir="$name" data.file=glyphs.h5 certify.hash=1 \
        certify.sigma=0.25 "$@"
}

# same <model> <name> <ranks> <batch> <threads> <settings...>: as <model>.1, byte by byte.
same() {
    local model=$1 name=$2 ranks=$3 batch=$4 threads=$5
    shift 5
    sometimes 3 || return
    votes "$name" "$ranks" model.file="$model/model.safetensors" certify.batch="$batch" \
        run.threads="$threads" "$@"
    must_equal "$model.1/votes.tsv" "$name/votes.tsv"
    must_equal "$model.1/certificates.h5" "$name/certificates.h5"
    rm -rf "$name"
}

glyphs glyphs.h5 256 4
defenses noise.cfg 'name = "gaussian"; sigma = 0.25;'
defenses bounded.cfg 'name = "gaussian"; sigma = 0.25;' 'name = "brelu"; t = 2.0;'
must_work 2 train noise.cfg run.dir=zcnn data.file=glyphs.h5 model.name=zcnn train.lr=0.02
must_work 2 train bounded.cfg run.dir=resnet20 data.file=glyphs.h5 model.name=resnet20

# More draws than one block of the sampler has (512), so that an image is spread over ranks.
zcnn=(certify.n0=30 certify.n=530)
votes zcnn.1 1 model.file=zcnn/model.safetensors "${zcnn[@]}"
check "four images, hashed" test "$(grep -Ec '[0-9a-f]{16}$' zcnn.1/votes.tsv)" -eq 4
for ranks in 2 3 4; do
    same zcnn "ranks$ranks" "$ranks" 64 1 "${zcnn[@]}"
done
for batch in 1 17 33; do
    same zcnn "batch$batch" 1 "$batch" 1 "${zcnn[@]}"
done
same zcnn both1 3 17 1 "${zcnn[@]}"
same zcnn both2 4 1 1 "${zcnn[@]}"
same zcnn threads1 1 64 2 "${zcnn[@]}"
same zcnn threads2 2 33 2 "${zcnn[@]}"

# Noise that is not rounded; another law, other logits.
real=(certify.noise=real "${zcnn[@]}")
mv zcnn.1 rounded
votes zcnn.1 1 model.file=zcnn/model.safetensors "${real[@]}"
must_differ rounded/votes.tsv zcnn.1/votes.tsv
same zcnn real1 3 64 1 "${real[@]}"
same zcnn real2 2 17 2 "${real[@]}"
same zcnn real3 4 33 1 "${real[@]}"

# A deep network, with running statistics and bounded activations.
resnet=(certify.max=2 certify.n0=10 certify.n=150)
votes resnet20.1 1 model.file=resnet20/model.safetensors "${resnet[@]}"
for ranks in 2 3 4; do
    same resnet20 "ranks$ranks" "$ranks" 64 1 "${resnet[@]}"
done
same resnet20 batch1 1 1 1 "${resnet[@]}"
same resnet20 batch2 1 17 2 "${resnet[@]}"
same resnet20 both 3 33 2 "${resnet[@]}"

# This test can fail: another seed, or another number of draws.
votes seed 2 model.file=zcnn/model.safetensors run.seed=2 "${real[@]}"
must_differ zcnn.1/votes.tsv seed/votes.tsv
check "another seed changes every hash" test "$(
    comm -12 <(cut -f5 zcnn.1/votes.tsv | sort) <(cut -f5 seed/votes.tsv | sort) | wc -l)" -eq 1
votes draws 1 model.file=zcnn/model.safetensors "${real[@]}" certify.n=529
must_differ zcnn.1/votes.tsv draws/votes.tsv

# In bf16, where the processor has it: the same promises; other logits; and the file says so. A run
# in one precision does not take up the votes of the other.
bf16=(model.precision=bf16 "${resnet[@]}")
run 1 evaluate run.dir=probe data.file=glyphs.h5 model.file=resnet20/model.safetensors \
    model.precision=bf16
if grep -q 'bf16 needs' err; then
    must_have_failed 2 'bf16 needs oneDNN and a processor with'
else
    mv resnet20.1 f32
    votes resnet20.1 1 model.file=resnet20/model.safetensors "${bf16[@]}"
    must_differ f32/votes.tsv resnet20.1/votes.tsv
    check "certify.tsv names the precision" test "$(grep -Ec 'bf16$' resnet20.1/certify.tsv)" -eq 2
    same resnet20 narrow1 2 17 1 "${bf16[@]}"
    same resnet20 narrow2 3 64 2 "${bf16[@]}"
    rm f32/votes.tsv f32/certify.tsv
    must_fail 2 'other settings' 1 certify run.dir=f32 data.file=glyphs.h5 \
        model.file=resnet20/model.safetensors certify.hash=1 certify.sigma=0.25 "${bf16[@]}"
fi
