#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The kernel test tool itself: exit statuses, names of cases, and that a case repeats alone.
. tests/cli/lib.bash

tool() { # ARGS...
    status=0
    "$BUILD/tests/checkkernel" "$@" >"$OUT" 2>"$ERR" || status=$?
}

tool --op=copy
equal "a passing op" 0 "$status"
check "last line is the count" grep -q -E -x '[0-9]+ passed, 0 failed, [0-9]+ skipped' <(tail -n 1 "$OUT")
for args in --op=nothing --impl=nothing --case=nothing '--mutants --op=nothing' '--bench --op=nothing' '--list --op=nothing'; do
    # shellcheck disable=SC2086 # words
    tool $args
    equal "nothing run is a failure: $args" 1 "$status"
done
for args in --seed=x --seed --unknown --threads=1000 check; do
    tool $args
    equal "usage: $args" 2 "$status"
done

tool --impl=cpu_amx --op=copy
case $status in
0) ok "AMX is here" ;;
*) equal "what cannot run here" 77 "$status" ;;
esac

# Names are unique, the quick ones are found by name, and a case gives the same figures alone.
tool --list --full --op=gemm
equal "names are unique" "$(sort "$OUT" | uniq -d | head -n 1)" ''
tool --list --op=gemm
name=$(sed -n '20s/^gemm //p' "$OUT")
tool --op=gemm -v --seed=3
grep -F " $name: " "$OUT" >"$TMP/among"
tool --op=gemm "--case=$name" -v --seed=3
grep -F " $name: " "$OUT" >"$TMP/alone"
check "some figures" test -s "$TMP/alone"
same "a case alone and among others" "$TMP/among" "$TMP/alone"
tool --op=adaln --mutants
check "mutants are listed" grep -q '^caught .*one-pass variance' "$OUT"
equal "mutants are caught" 0 "$status"
