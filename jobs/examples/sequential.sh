#!/usr/bin/env bash
# What sequential certification saves, on the votes of real networks:
#     sequential.sh <data set> mnist|cifar10 [modes] [million]
# mnist    LeNet, noise of .5, 200 test images; cifar10: ResNet-20, noise of .25, 50 test images
# modes    at n = 100,000, fixed; then only as far as it takes for .5, 1 or 1.5 sigma (by looks, by a
#          confidence sequence), for all three, and to know the radius to within sigma / 10: draws an image,
#          and points of certified accuracy lost, in $runs/<set>-sequential.tsv
# million  every tenth of these images (every fifth of CIFAR-10, in bf16) at n = 1,000,000 where the number
#          of draws limits the radius: its radius beside that of n = 100,000, in $runs/<set>-million.tsv
# Draw j of an image is the same in all of them, so they differ by when they stop and by nothing else.
# With more="certify.max=4 certify.n=5000" in the environment: in tiny. See lib.sh.
source "$(dirname "$0")/lib.sh"
images=${1:?mnist or cifar10 expected}
shift
case $images in
mnist)
    config=${config:-$here/mnist.cfg} sigma=0.5 skip=50 few=500
    net=(model.name=lenet) cheap=()
    ;;
cifar10)
    config=${config:-$here/cifar10_smoothing.cfg} sigma=0.25 skip=200 few=1000
    net=() cheap=(model.precision=bf16)
    ;;
*)
    echo "sequential.sh: mnist or cifar10 expected, not $images" >&2
    exit 2
    ;;
esac
: "${more:=}"

# certify <name> <arguments...>: unless its certificates are there.
certify() {
    # shellcheck disable=SC2086 # words
    [[ -e $runs/$images-$1/certify.tsv ]] ||
        $testudo certify "$config" data.file="$data" run.dir="$runs/$images-$1" \
            model.file="$runs/$images-net/model.safetensors" "${net[@]}" "${@:2}" $more
}

times_sigma() {
    awk -v s=$sigma -v r="$1" 'BEGIN { print s * r }'
}

# row <name> <multiple of sigma>: of a mode against fixed, at a radius.
row() {
    awk -F '\t' -v OFS='\t' -v name="$1" -v r="$(times_sigma "$2")" '
        FNR == 1 { files++; next }
        { images[files]++; draws[files] += $9; certified[files] += $5 && $4 >= r - 1e-9 }
        END {
            for (f = 1; f <= 2; f++) { draws[f] /= images[f]; certified[f] *= 100 / images[f] }
            print name, r, draws[2], draws[1] / draws[2], certified[1], certified[2], certified[1] - certified[2]
        }' "$runs/$images-fixed/certify.tsv" "$runs/$images-$1/certify.tsv"
}

modes() {
    local r name
    certify fixed certify.skip=$skip
    for r in 0.5 1 1.5; do
        for name in group kt; do
            certify $name-$r certify.skip=$skip certify.mode=radii certify.test=$name \
                certify.radii="$(times_sigma $r)"
        done
    done
    certify radii certify.skip=$skip certify.mode=radii
    certify tolerance certify.skip=$skip certify.mode=tolerance
    {
        printf 'mode\tradius\tdraws\ttimes_fewer\tcertified_fixed\tcertified\tlost\n'
        for r in 0.5 1 1.5; do
            for name in group-$r kt-$r radii tolerance; do
                row $name $r
            done
        done
    } > "$runs/$images-sequential.tsv"
    column -t -s $'\t' "$runs/$images-sequential.tsv"
    report "$images-sequential" "$images-fixed" "$images-radii" "$images-tolerance"
}

million() {
    certify fixed certify.skip=$skip
    certify million certify.skip=$few certify.mode=million "${cheap[@]}"
    awk -F '\t' -v OFS='\t' '
        FNR == 1 { files++; next }
        files == 1 { fixed[$1] = $4; next }
        files == 2 && !header++ { print "idx", "correct", "draws", "radius_fixed", "radius" }
        $1 in fixed {
            print $1, $5, $9, fixed[$1], $4
            n++; draws += $9; a += $5 * fixed[$1]; b += $5 * $4
        }
        END { print "mean", "-", draws / n, a / n, b / n }' \
        "$runs/$images-fixed/certify.tsv" "$runs/$images-million/certify.tsv" > "$runs/$images-million.tsv"
    column -t -s $'\t' "$runs/$images-million.tsv"
}

train "$images-net" "${net[@]}"
[[ $# -gt 0 ]] || set -- modes million
for part in "$@"; do
    $part
done
