#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/peers without a network: its arguments, and a round of dydit alone.
. tests/cli/lib.bash
RUN=$ROOT/bench/peers/run.sh

# says CODE REGEX ARGS...: exit status and one line `peers: ...` on stderr
says() {
    local code=$1 pattern=$2 status=0
    shift 2
    "$RUN" "$@" >"$OUT" 2>"$ERR" </dev/null || status=$?
    equal "exit status: $(short "$@")" "$code" "$status"
    equal "one line, nothing on stdout: $(short "$@")" "1 0" "$(wc -l <"$ERR") $(wc -c <"$OUT")"
    check "message: $(short "$@")" grep -q -E -e "^peers: .*$pattern" "$ERR"
}

"$RUN" --help >"$OUT" 2>"$ERR" || not_ok "help succeeds"
check "help names the flags" grep -q -e '--rounds N' "$OUT"
says 2 'no file'
says 2 'unknown flag --rouns' --rouns 3 x.json
says 2 '--batch needs a value' x.json --batch
says 2 "one of XL, L, B, S, not 'M'" --model M x.json
for v in 0 -1 1.5 x 100000; do says 2 '--rounds.*whole number' --rounds "$v" x.json; done
says 2 "no line 'tensorflow'" --only dydit,tensorflow x.json
says 2 "no line '\*'" --only '*' x.json
says 2 'unexpected argument' x.json y.json
says 2 'no folder nowhere' nowhere/x.json
says 2 'cannot be written' "$TMP"
says 2 'takes no file' --check x.json
PYTHON=no-such-python says 1 'Python is missing' --venv "$TMP/venv" x.json
equal "nothing is left behind" '' "$(ls -A "$W")"

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    skip "a round of dydit" "no Python 3.11"
    exit 0
fi
# Without its packages PyTorch cannot run, and that is what the results must say.
python3 -m venv --without-pip bare >"$ERR" 2>&1 || { skip "a round of dydit" "Python's venv does not work"; exit 0; }
"$BUILD/tests/tools/random_model" s8.safetensors DyDiT-S/8 32 0.62
check "a round" bare/bin/python "$ROOT/bench/peers/peers.py" --dydit "$DYDIT" --ckpt s8.safetensors --ir s8.xml --cache cache \
    --json r.json --markdown r.md --model DiT-S/8 --command test --commit none --rows 2 --threads 1 --rounds 2 --repeats 1 \
    --budget 1 --limit 60 --only dydit-fp32,torch-fp32,openvino-fp32
equal "schema" dydit-peers "$(json r.json schema)"
equal "dydit was measured" "ok ok" "$(json r.json results.0.status) $(json r.json results.1.status)"
equal "twice" 2 "$(json r.json results.0.repeats)"
check "the table has it" grep -q '^| \*\*dydit .*complete model\*\* | fp32 | everything | [0-9.]* s |' r.md
check "what failed is in the table, with its reason" grep -q '^| PyTorch, eager | fp32 | .*failed: ModuleNotFoundError' r.md
check "also where the conversion failed" grep -q '^| OpenVINO | fp32 | .*failed: ModuleNotFoundError' r.md
