#!/usr/bin/env bash
# The manual page through groff, with all its warnings on.
source "$(dirname "$0")/lib.sh"
if ! command -v groff > /dev/null; then
    trap - EXIT
    echo "SKIPPED: no groff here: the manual page is not looked at (jobs/setup test)"
    exit 0
fi

# silent <file>: groff says nothing about it.
silent() {
    groff -ww -man -Tascii -P-cbu "$1" > page 2> warnings && [[ ! -s warnings ]]
}

must_work 1 help man
cp out testudo.1
check "groff has nothing to say" silent testudo.1 || head -n 5 warnings
check "the page has lines" test "$(wc -l < page)" -gt 300
check "the page shows an option" grep -Eq 'train\.lr' page
check "the page shows no markup" bash -c '! grep -Eq "\\\\f[BRI]|\\\\-|^\.[A-Z]" page'

# What is wrong is seen.
{ cat testudo.1; echo '.NOSUCH macro'; } > wrong.1
silent wrong.1
check "groff complains about a macro that is not there" grep -q NOSUCH warnings
