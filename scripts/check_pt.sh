#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checkpoints of the shapes of XL/2 with random weights, as PyTorch and diffusers write them: converted, inspected, evaluated, and
# equal to the forward pass of PyTorch, or of diffusers, within 1e-5 of the largest value. Not a part of make test: it needs a
# Python with torch, diffusers and safetensors, 9 GB of memory, 15 GB of room in TMPDIR and some minutes.
#
#   PYTHON=python3 scripts/check_pt.sh [--small] [PART...]
#
#   train      {model, ema, opt, args} as DiT's train.py saves it, more than 4 GiB: ema is taken
#   flat       a bare state dict
#   old        the same in the archive of PyTorch 1.6 to 1.13
#   dydit      a DyDiT-XL/2 with routers
#   diffusers  `flat` by convert --layout diffusers, loaded and saved again by diffusers
# --small: the shapes of S/2, to try the script itself.
set -eu
cd "$(dirname "$0")/.."
dydit=build/release/dydit python=${PYTHON:-python3} width=1152
[ -x $dydit ] || { echo "check_pt: run 'make' first" >&2; exit 1; }
if [ "${1-}" = --small ]; then
    width=384
    shift
fi
[ $# -gt 0 ] || set -- train flat old dydit diffusers

tmp=$(mktemp -d "${TMPDIR:-/tmp}/pt.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# evaluated NAME CHECKPOINT [FLAGS]: against `out` of the inputs
evaluated() {
    local name=$1 ckpt=$2 began=$SECONDS
    shift 2
    $dydit eval --ckpt "$ckpt" --in "$tmp/inputs" -o "$tmp/results" --precision fp32 --backend cpu -q "$@"
    printf '%s, %d s: ' "$name" $((SECONDS - began))
    "$python" scripts/check_pt.py compare "$tmp/inputs" "$tmp/results"
}

# written KIND: in $tmp/pt
written() {
    "$python" scripts/check_pt.py write "$1" $width "$tmp/pt" "$tmp/inputs"
    printf '%s: %s bytes\n' "$1" "$(stat -c %s "$tmp/pt")"
}

torch_file() { # KIND
    written "$1"
    evaluated "$1, in place" "$tmp/pt"
    $dydit convert "$tmp/pt" "$tmp/converted.safetensors"
    rm "$tmp/pt"
    $dydit inspect "$tmp/converted.safetensors" | grep -E '^(arch|parameters|missing|unexpected)'
    evaluated "$1, converted" "$tmp/converted.safetensors"
    rm "$tmp/converted.safetensors"
}

diffusers_folder() {
    written flat
    $dydit convert "$tmp/pt" "$tmp/transformer" --layout diffusers
    evaluated 'folder, official numerics' "$tmp/transformer"
    $dydit convert "$tmp/transformer" "$tmp/back.safetensors"
    $dydit convert "$tmp/pt" "$tmp/direct.safetensors"
    rm "$tmp/pt"
    "$python" - "$tmp/back.safetensors" "$tmp/direct.safetensors" <<'PY'
import sys, torch
from safetensors import safe_open
a, b = (safe_open(p, "pt") for p in sys.argv[1:])
assert set(a.keys()) == set(b.keys()) and all(torch.equal(a.get_tensor(k), b.get_tensor(k)) for k in a.keys())
print("there and back: %d tensors are equal" % len(list(a.keys())))
PY
    rm "$tmp/back.safetensors" "$tmp/direct.safetensors"
    "$python" scripts/check_pt.py diffusers "$tmp/transformer" "$tmp/copy" "$tmp/inputs"
    evaluated 'folder, as diffusers' "$tmp/transformer" --compat diffusers
    rm -r "$tmp/transformer"
    ls "$tmp/copy"
    evaluated 'shards of diffusers, as diffusers' "$tmp/copy" --compat diffusers
}

for part in "$@"; do
    case $part in
    train | flat | old | dydit) torch_file "$part" ;;
    diffusers) diffusers_folder ;;
    *) echo "check_pt: '$part' is none of train, flat, old, dydit, diffusers" >&2; exit 2 ;;
    esac
done
