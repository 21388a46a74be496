#!/usr/bin/env bash
# bench prints a positive rate for every loop, on one rank and on two, and every node when asked;
# how large the rates are is no test's business.
source "$(dirname "$0")/lib.sh"

glyphs glyphs.h5 300 10
small=(bench model.name=resnet20 model.width=0.25 bench.batch=4 train.batch=16 bench.seconds=0.01)
for ranks in 1 2; do
    must_work "$ranks" "${small[@]}" data.file=glyphs.h5
    for row in certify train gradient noise data exchange forward; do
        must_say "^$row +[0-9]*[1-9][0-9.]* +[A-Za-z]+/s"
    done
done
must_work 1 "${small[@]}" bench.what=certify bench.nodes=1
must_say '^ +[0-9]+ +conv.* us'
check "one loop only" test "$(grep -Ec '^(certify|train|gradient|noise|data|exchange|forward) ' out)" -eq 1
must_work 1 "${small[@]}"
must_say '^data .*skipped'
must_fail 2 'bench.what' 1 bench bench.what=everything
must_fail 2 'model.name is missing' 2 bench
