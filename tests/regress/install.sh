#!/usr/bin/env bash
# cmake --install into an empty place: all that is promised is there, and the program runs from
# there, on two ranks, with the examples that came with it.
#   install.sh <testudo> <mpiexec> <mode> <cmake> <build directory>
source "$(dirname "$0")/lib.sh"
cmake=$4 build=$5
place=$directory/place

started "$cmake" --install "$build" --prefix "$place"
check "it installs" test "$code" -eq 0 || failed_with_output

for file in bin/testudo share/man/man1/testudo.1 share/bash-completion/completions/testudo \
    share/doc/testudo/README.md share/doc/testudo/LICENSE share/doc/testudo/NUMBERS.md \
    share/testudo/examples/quickstart.cfg share/testudo/slurm/train.sbatch share/testudo/slurm/lib.sh; do
    check "$file is there" test -s "$place/$file"
done
check "nothing lies elsewhere" test "$(cd "$place" && echo *)" = 'bin share'
source_examples=$(cd "$(dirname "$0")/../../jobs/examples" && echo *)
check "all examples are there" test "$(cd "$place/share/testudo/examples" && echo *)" = "$source_examples"

testudo=$place/bin/testudo
must_work 1 help man
must_equal out "$place/share/man/man1/testudo.1"
must_work 1 help bash
must_equal out "$place/share/bash-completion/completions/testudo"
example=$place/share/testudo/examples/quickstart.cfg
must_work 1 import "$example" import.out=glyphs.h5 import.train=200 import.test=20
must_work 2 train "$example" run.dir=run data.file=glyphs.h5 train.epochs=1
must_work 2 certify "$example" run.dir=run data.file=glyphs.h5 certify.n=100
must_say '^radius \(L2\)'
must_exist run/certify.tsv

started "$place/share/testudo/slurm/submit" --dry-run --partition=short "$example" run.dir=chain
check "slurm/submit finds the program that came with it" test "$code" -eq 0 || failed_with_output
must_say "^export TESTUDO=$testudo\$"
must_say '^launch certify .*run.dir=chain'
must_say '^#SBATCH --partition=short$'
must_not_exist chain
