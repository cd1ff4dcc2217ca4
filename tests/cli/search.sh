#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# plan --search: what it finds keeps to the budget, is the same every time and runs; refusals. How good it is, is in docs/search.md.
# sanitize: yes
. tests/cli/lib.bash

search=(plan --ckpt "$D64" --steps ddim5 --search --search-images 2)

run "${search[@]}" --budget 0.6 -q -o a.json --search-svg a.svg --search-json a-search.json
equal "exit status" 0 "$status"
check "within the budget" awk -v r="$(json a-search.json chosen.ratio)" 'BEGIN { exit !(r > 0 && r <= 0.6) }'
check "the error is a number" awk -v e="$(json a-search.json chosen.error)" 'BEGIN { exit !(e > 0 && e < 1) }'
equal "named as a search" dydit+search:0.6 "$(json a.json policy)"
check "something is reused" grep -q '"op":"REUSE_BRANCH"' a.json
check "the drawing is an SVG" grep -q '</svg>' a.svg
run "${search[@]}" --budget 0.6 -q -o b.json --threads 1
same "the same again, with one thread and without a report" a.json b.json
run "${search[@]}" --budget 0.6 -q -o b.json --seed 3
equal "other pictures: exit status" 0 "$status"
run sample --ckpt "$D64" --steps ddim5 -q -l 0-1 --plan a.json --json --latents-out x.st
equal "the plan runs" 0 "$status"
rm x.st

"$DYDIT" plan --ckpt "$D64" --steps ddim5 --dense -q -o dense.json
run "${search[@]}" --dense --budget 0.5 -q -o a.json --cfg-interval 300 999 --search-json a-search.json
equal "guidance that changes: exit status" 0 "$status"
check "guidance that changes: within the budget" awk -v r="$(json a-search.json chosen.ratio)" 'BEGIN { exit !(r > 0 && r <= 0.5) }'
run "${search[@]}" --plan dense.json --budget 0.5 -q -o a.json
equal "over a plan of a file" dense+search:0.5 "$(json a.json policy)"

# ---- refused ----
refused 2 'cannot be kept to: plan "dydit" with reuse costs at least 0\.[0-9]+$' "${search[@]}" --budget 0.01 -o x.json
refused 2 'a search over plan "dense\+search:0.5", which itself reuses results' "${search[@]}" --plan a.json --budget 0.4 -o x.json
refused 2 '--search needs --budget' "${search[@]}"
for r in 0 1; do refused 2 "budget $r is not between 0 and 1" "${search[@]}" --budget $r; done
refused 2 'budget' "${search[@]}" --budget 1.5
refused 2 'search-images' "${search[@]}" --budget 0.5 --search-images 65
refused 2 '--search and --policy exclude each other' "${search[@]}" --budget 0.5 --policy fora:interval=2
for f in --budget --search-images --seed --search-svg --search-json; do refused 2 'without --search' plan --ckpt "$D64" $f 1; done
refused 2 'both write' "${search[@]}" --budget 0.5 --search-svg x --search-json x

# ---- stopped: nothing is written ----
if ! env --default-signal=INT true 2>/dev/null; then
    skip "Ctrl-C" "env has no --default-signal"
    exit 0
fi
rm -f ./*
env --default-signal=INT "$DYDIT" plan --ckpt "$GLYPHS" --steps 250 --backend ref --threads 1 --search --budget 0.5 -o x.json \
    --search-svg x.svg -q >"$OUT" 2>"$ERR" </dev/null &
pid=$!
sleep 0.5
kill -INT $pid
status=0
wait $pid || status=$?
equal "Ctrl-C: exit status" 130 "$status"
equal "Ctrl-C: one sentence" 'dydit: stopped; nothing was written' "$(cat "$ERR")"
equal "Ctrl-C: nothing is left" '' "$(ls -A)"
