#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The benchmark: reports in every format that agree with each other, comparisons on times made up here, refusals. No
# measured time decides anything.
. tests/cli/lib.bash

# at FILE PATH: a value of a report
at() { json "$1" "$2" 2>/dev/null; }

small=(bench --model DyDiT-S/8 --image-size 256 --steps ddim4 --repeat 3 --threads 2)

# ---- one run with everything ----
run "${small[@]}" --batch-size 1,2 --ratio 0.4 --vs-dense --profile --out run.json --svg run.svg
equal "exit status" 0 "$status"
equal "nothing on stderr" '' "$(cat "$ERR")"
check "table" grep -q -E '^tdw\+sdt 0.4 +2 ' "$OUT"
check "names of the files" grep -q -x 'wrote run.svg' "$OUT"
equal "files" 'run.json run.svg' "$(ls | tr '\n' ' ' | sed 's/ $//')"
equal "schema" 'dydit-bench 1' "$(at run.json schema) $(at run.json schema_version)"
equal "version" "dydit $(at run.json version)" "$("$DYDIT" version)"
equal "model" 'DyDiT-S/8 random 32 16' \
    "$(at run.json model.arch) $(at run.json model.weights) $(at run.json model.input_size) $(at run.json model.tokens)"
equal "protocol" 'ddim ddim4 4 1.5 3 1 true' "$(for k in sampler steps n_steps cfg_scale repeat warmup vs_dense; do
    at run.json protocol.$k; done | tr '\n' ' ' | sed 's/ $//')"
check "command line" grep -q '"command": "dydit bench --model DyDiT-S/8 --image-size 256 --steps ddim4' run.json
for key in timestamp_utc git_commit machine.cpu machine.arch machine.cpus build.compiler backend.name backend.isa backend.threads \
    protocol.precision; do
    check "$key is there" test -n "$(at run.json $key)"
done
equal "cases" 4 "$(grep -c '"mode"' run.json)"

# The cases in a form that awk reads: the CSV, without the quoted columns of the run.
"$DYDIT" bench --read run.json --csv >run.csv
equal "CSV: lines" 5 "$(wc -l <run.csv)"
equal "CSV: every line has the columns of the header" 1 "$(sed 's/"[^"]*"/text/g' run.csv | awk -F, '{ print NF }' | sort -u | wc -l)"
column() { # NAME: its values
    sed 's/"\([^"]*\)"/\1/g; s/(R)//g' run.csv | awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next } { print $at }'
}
equal "CSV: modes" 'tdw tdw tdw+sdt tdw+sdt' "$(column mode | tr '\n' ' ' | sed 's/ $//')"
equal "CSV: batches" '1 2 1 2' "$(column batch | tr '\n' ' ' | sed 's/ $//')"
check "CSV: MAC ratio" awk '{ e = $1 - $2 / $3; if (e * e > 1e-12) exit 1 }' \
    <(paste <(column mac_ratio) <(column macs_dense) <(column macs_executed))
check "CSV: seconds are ordered and positive" awk '!($1 > 0 && $1 <= $2 && $2 <= $3) { exit 1 }' \
    <(paste <(column seconds.min) <(column seconds.median) <(column seconds.max))
check "CSV: seconds per image and step" awk '{ a = $1 - $2 * $3; b = $1 - $4 * 4; if (a * a > 1e-12 || b * b > 1e-12) exit 1 }' \
    <(paste <(column seconds.median) <(column s_per_image) <(column batch) <(column s_per_step))
check "CSV: rows are pictures, twice, times steps" awk '$1 != $2 * 8 { exit 1 }' <(paste <(column forward_rows) <(column batch))
check "CSV: realised is the speed-up's share of the MAC ratio" awk '{ e = $1 - $2 / $3; if (e * e > 1e-10) exit 1 }' \
    <(paste <(column realised) <(column speedup.median) <(column mac_ratio))
check "CSV: the plans cost what was asked for" awk '{ r = 1 / $1; if (r < 0.37 || r > 0.45) exit 1 }' <(column mac_ratio)
check "CSV: tdw runs every token" test "$(column active.tokens | head -n 2 | sort -u)" = 1
check "CSV: tdw+sdt leaves tokens out" awk '!($1 > 0.5 && $1 < 0.9) { exit 1 }' <(column active.tokens | tail -n 2)
check "CSV: widths" awk '!($1 > 0.2 && $1 < 0.7) { exit 1 }' <(column active.heads)

# ---- other formats from the same file ----
run bench --read run.json --markdown
equal "Markdown: rows" 6 "$(grep -c '^|' "$OUT")"
equal "Markdown: columns agree" 1 "$(grep '^|' "$OUT" | awk -F'|' '{ print NF }' | sort -u | wc -l)"
run bench --read run.json --json
same "JSON read and printed again is the same" run.json "$OUT"
run bench --read run.json --svg again.svg
same "so is the picture" run.svg again.svg
if command -v xmllint >/dev/null 2>&1; then
    check "SVG is well formed" xmllint --noout run.svg
elif command -v python3 >/dev/null 2>&1; then
    check "SVG is well formed" python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' run.svg
else
    skip "SVG is well formed" "no XML parser"
fi
check "SVG ends" test "$(tail -n 1 run.svg)" = '</svg>'
equal "SVG: a dot per case, three in the legend" 7 "$(grep -c '<circle' run.svg)"
check "SVG: op times" grep -q '<title>fc1: ' run.svg
run bench --read run.json -q
equal "-q prints nothing" '' "$(cat "$OUT" "$ERR")"
rm again.svg run.svg run.csv

# ---- comparing: times made up ----
# made FILE FACTOR: run.json with every case taking FACTOR x (10, 10.1, 9.9) s
made() {
    awk -v f="$2" '/"seconds": \{/ { inside = 1 } inside && /"raw"/ { print; for (i = 0; i < 3; i++) { getline; n = 10 + (i - 1) * 0.1; printf "     %.6f%s\n", n * f, i < 2 ? "," : "" } inside = 0; next } { print }' run.json >"$1"
}
made base.json 1
made slow.json 1.2
made fast.json 0.7
made close.json 1.02
run bench --read close.json --compare base.json
equal "2 % more: exit status" 0 "$status"
equal "2 % more: verdicts" 4 "$(grep -c '^same ' "$OUT")"
run bench --read fast.json --compare base.json
equal "30 % less: exit status" 0 "$status"
equal "30 % less: verdicts" 4 "$(grep -c '^faster ' "$OUT")"
run bench --read slow.json --compare base.json
equal "20 % more: exit status" 5 "$status"
equal "20 % more: verdicts" 4 "$(grep -c '^slower .*+20.0 % ' "$OUT")"
check "20 % more: message" grep -q -x 'dydit: 4 of 4 cases slower than in base.json' "$ERR"
run bench --read slow.json --compare base.json --limit 25
equal "20 % more, 25 % allowed" 0 "$status"
run bench --read close.json --compare base.json --limit 1 -q
check "2 % more, 1 % allowed: the spread asks for more" test "$status" = 5 -o "$status" = 0
sed 's/"batch": 2/"batch": 3/' base.json >other.json
run bench --read slow.json --compare other.json
check "cases that are missing are counted" grep -q '^2 cases are not in other.json$' "$OUT"
sed 's/"batch": [12]/"batch": 3/' base.json >other.json
refused 3 'no matching case in other.json: modes, ratios' bench -q --read slow.json --compare other.json
sed 's/"steps": "ddim4"/"steps": "ddim5"/' base.json >other.json
refused 3 'no matching case in other.json: its steps was ddim5, here it is ddim4' bench -q --read slow.json --compare other.json
sed 's/"precision": "fp32"/"precision": "xyz"/' base.json >other.json
[ "$(at run.json protocol.precision)" != fp32 ] || refused 3 'its precision was xyz' bench -q --read slow.json --compare other.json
sed 's/"isa": "[a-z0-9]*"/"isa": "abacus"/' base.json >other.json
run bench --read close.json --compare other.json
check "another instruction set is compared, and said" grep -q '^instruction set: abacus before' "$OUT"
rm ./*.json

# ---- a checkpoint, its own routers, unpaired; reports on stdout ----
run bench --ckpt "$D128" --steps ddim4 --repeat 1 --warmup 0 --mode dense,own,tdw+sdt --json
equal "checkpoint: exit status" 0 "$status"
equal "checkpoint: cases" 3 "$(grep -c '"mode"' "$OUT")"
check "checkpoint: unpaired speed-ups" grep -q '"paired": false' "$OUT"
check "checkpoint: JSON" json "$OUT"
run bench --ckpt "$D128" --steps ddim4 --repeat 1 --warmup 0 --mode tdw --cfg-scale 1 --csv
equal "checkpoint: CSV on stdout" 2 "$(wc -l <"$OUT")"
run bench --model DiT-S/8 --image-size 64 --steps ddim2 --repeat 1 --warmup 0 --backend ref --ratio 0.5 --ratio 0.8,0.9 --threads 2
equal "a model without routers has dense and tdw cases" 'dense tdw tdw tdw' "$(awk '$1 == "dense" || $1 == "tdw" { print $1 }' "$OUT" | tr '\n' ' ' | sed 's/ $//')"
check "a backend without a probe has no share of peak" sh -c '! grep -q "of peak" "$1"' sh "$OUT"
run "${small[@]}" --dry-run
equal "--dry-run: a line per case" 3 "$(grep -c '^  ' "$OUT")"
equal "nothing is left" '' "$(ls -A)"

# ---- refusals ----
refused 2 "'fast' is not one of dense, tdw" "${small[@]}" --mode tdw,fast
refused 2 "not one of" "${small[@]}" --mode tdw,
refused 2 '--ratio' "${small[@]}" --ratio 0
refused 2 '--ratio.*empty' "${small[@]}" --ratio 0.5,
refused 2 "--ratio: 'x' is not a number" "${small[@]}" --ratio 0.5,x
refused 2 '--ratio 0.01 of tdw: .*cannot be had' "${small[@]}" --ratio 0.01
refused 2 '--ratio 0.99 of tdw.sdt: .*cannot be had' "${small[@]}" --ratio 0.99
refused 2 '--batch-size' "${small[@]}" --batch-size 0
refused 2 '--batch-size' "${small[@]}" --batch-size 1.5
refused 2 '--tokens' "${small[@]}" --tokens 1.5
refused 2 '--repeat' "${small[@]}" --repeat 0
refused 2 'more than 32' "${small[@]}" --batch-size "$(seq -s, 40)"
refused 2 'DyDiT-Q/2' bench --model DyDiT-Q/2
refused 2 '--image-size 100 is no multiple of 8' bench --model DyDiT-S/8 --image-size 100
refused 2 'divisible by patch' bench --model DyDiT-S/8 --image-size 72
refused 2 '--image-size 64.*32 x 32' bench --ckpt "$D128" --image-size 64
refused 2 'steps' "${small[@]}" --steps ddim0
refused 2 '--mode tdw.sdt: DiT-S/8 has no routers' bench --model DiT-S/8 --image-size 64 --mode tdw+sdt
refused 2 '--tokens and --ckpt' bench --ckpt "$D128" --tokens 0.5
refused 2 'exclude each other: one format' "${small[@]}" --json --csv
refused 2 '--limit needs' "${small[@]}" --limit 3
refused 2 '--read and --model' bench --read x.json --model DyDiT-S/2
refused 2 '--compare prints' "${small[@]}" --compare x.json --json
refused 2 '--dry-run times nothing' "${small[@]}" --dry-run --svg x.svg
refused 2 'precision' "${small[@]}" --precision int3
refused 2 'quantum' "${small[@]}" --backend quantum
refused 2 '--out and --svg' "${small[@]}" --out x --svg x
refused 4 'nowhere' "${small[@]}" --out nowhere/x.json
refused 3 'none.json cannot be opened' "${small[@]}" --compare none.json
refused 3 'none.safetensors.*not exist' bench --ckpt none.safetensors
echo '{"schema": "dydit-plan"}' >"$TMP/plan.json"
echo '{"schema": ' >"$TMP/broken.json"
echo '{"schema": "dydit-bench", "schema_version": 99, "cases": []}' >"$TMP/new.json"
refused 3 'no report of dydit bench' bench --read "$TMP/plan.json"
refused 3 'is not JSON' bench --read "$TMP/broken.json"
refused 3 'schema_version 99' bench --read "$TMP/new.json"

# ---- Ctrl-C ----
if env --default-signal=INT true 2>/dev/null; then
    env --default-signal=INT "$DYDIT" bench --model DyDiT-S/2 --steps 250 --out x.json >"$OUT" 2>"$ERR" </dev/null &
    pid=$!
    sleep 0.7
    kill -INT $pid
    status=0
    wait $pid || status=$?
    equal "Ctrl-C: exit status" 130 "$status"
    check "Ctrl-C: message" grep -q -x 'dydit: stopped; nothing was written' "$ERR"
    equal "Ctrl-C: no file" '' "$(ls -A)"
else
    skip "Ctrl-C" "env has no --default-signal"
fi
