#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Times dydit beside PyTorch and OpenVINO: the same model, weights, shapes and threads, in turn, several rounds.
#
#     bench/peers/run.sh [flags] OUT.json     measure; a Markdown table goes to stdout and to OUT.md
#     bench/peers/run.sh --check [flags]      only hold the PyTorch model's numbers against dydit's
#
#   --model XL|L|B|S   DiT size, patch 2, 256 x 256 pixels (default XL)
#   --batch N          rows of a forward pass; an even number is guided pairs (default 2)
#   --rounds N         how often every line has its turn (default 3)
#   --repeats N        forward passes of a peer in a round (default 5)
#   --threads N        for all (default: the CPUs this process may use)
#   --only LIST        comma list of lines or their beginnings, e.g. dydit,openvino,torch-compile-fp32
#   --budget SECONDS   for timing one line in a round (default 30); a slow one makes fewer repeats, and where one
#                      forward pass takes longer, a single one in all
#   --limit SECONDS    a process that takes longer is ended and its line reported as failed (default 900)
#   --quick            DiT-S, one round, two repeats: does everything work?
#   --venv DIR         Python packages go there and are used again (default build/peers/venv)
#
# Needs Python 3.11 or newer with venv (PYTHON=... picks one), a C and a C++ compiler, readelf, and for the first run a Python
# package index: 0.7 GB of downloads, 2 GB on disk. XL needs 12 GB of memory and 5 GB of disk below build/peers.
# Timings never decide the exit status: 0 measured, 1 something needed is broken, 2 wrong arguments.
set -euf
here=$(dirname "$0")
usage() { sed -n '/^# Times/,/^set /{/^set /d;s/^# \{0,1\}//p}' "$here/run.sh"; }
stop() { # STATUS SENTENCE
    printf 'peers: %s\n' "$2" >&2
    exit "$1"
}
whole() { # FLAG VALUE: a number from 1 to 99999
    case $2 in '' | *[!0-9]* | 0* | ??????*) stop 2 "$1 needs a whole number from 1 to 99999, not '$2'" ;; esac
}

shown=bench/peers/run.sh
for word in "$@"; do shown="$shown ${word##*/}"; done # files by name, without folders
model=XL rows=2 rounds=3 repeats=5 threads='' only='' budget=30 limit=900 check='' out='' venv=''
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --check) check=1 ;;
    --quick) model=S rounds=1 repeats=2 budget=5 ;;
    --model | --batch | --rounds | --repeats | --threads | --only | --budget | --limit | --venv)
        [ $# -gt 1 ] || stop 2 "$1 needs a value"
        case $1 in
        --model) model=$2 ;;
        --only) only=$2 ;;
        --venv) venv=$2 ;;
        --batch) whole "$1" "$2"; rows=$2 ;;
        --rounds) whole "$1" "$2"; rounds=$2 ;;
        --repeats) whole "$1" "$2"; repeats=$2 ;;
        --threads) whole "$1" "$2"; threads=$2 ;;
        --budget) whole "$1" "$2"; budget=$2 ;;
        --limit) whole "$1" "$2"; limit=$2 ;;
        esac
        shift
        ;;
    -*) stop 2 "unknown flag $1; --help lists them" ;;
    *) [ -z "$out" ] || stop 2 "unexpected argument '$1': one file gets the results"; out=$1 ;;
    esac
    shift
done
case $model in XL | L | B | S) ;; *) stop 2 "--model is one of XL, L, B, S, not '$model'" ;; esac
for word in ${only//,/ }; do
    known=''
    case $word in *[!a-z0-9-]*) ;; *) known=$(grep -h -E "\"$word(-[a-z0-9-]+)?\": [L\"]" "$here"/{worker,dydit}.py || :) ;; esac
    [ -n "$known" ] || stop 2 "--only: there is no line '$word'; bench/peers/README.md names them"
done
[ -n "$out$check" ] || stop 2 "no file for the results given; --help says more"
[ -z "$check" ] || [ -z "$out" ] || stop 2 "--check writes no results: it takes no file"
case $out in *.md) stop 2 "the results are JSON; the table goes into the .md beside them" ;; esac
if [ -n "$out" ]; then
    folder=$(dirname "$out")
    [ -d "$folder" ] || stop 2 "there is no folder $folder"
    if [ ! -w "$folder" ] || [ -d "$out" ]; then stop 2 "$out cannot be written"; fi
    out=$(cd "$folder" && pwd)/$(basename "$out")
fi
case $venv in '' | /*) ;; *) venv=$PWD/$venv ;; esac

cd "$here/../.."
work=build/peers
venv=${venv:-$PWD/$work/venv}
build=${BUILD:-build/release}
py=$venv/bin/python
log=$work/setup.log

# Those of requirements.txt, once; the mark says that all of it went well, with these versions.
get_packages() {
    local python=${PYTHON:-python3}
    cmp -s bench/peers/requirements.txt "$venv/peers.txt" && return 0
    command -v "$python" >/dev/null || stop 1 "Python is missing: $python is not there; PYTHON=... names another"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop 1 "Python 3.11 or newer is needed; PYTHON=... names one"
    command -v "${CC:-cc}" readelf >/dev/null || stop 1 "a C compiler and readelf are needed"
    echo "peers: getting PyTorch and OpenVINO into $venv" >&2
    "$python" -m venv "$venv" >"$log" 2>&1 || stop 1 "Python's venv does not work here; $log has its words"
    "$py" -m pip install --disable-pip-version-check --retries 1 --no-deps -r bench/peers/requirements.txt >>"$log" 2>&1 ||
        stop 1 "pip could not get the packages of bench/peers/requirements.txt (is there a network?); $log has its words"
    "$py" bench/peers/standins.py >>"$log" 2>&1 || stop 1 "the stand-ins for CUDA could not be built; $log has the reason"
    "$py" -c 'import torch, openvino, safetensors' >>"$log" 2>&1 || stop 1 "the packages do not load; $log has the reason"
    cp bench/peers/requirements.txt "$venv/peers.txt"
}

# checkpoint NAME UNIT_SHARE: its file, written once
checkpoint() {
    local file=$work/${1//\//-}-$2.safetensors
    [ -s "$file" ] || {
        "$build/tests/tools/random_model" "$file.new" "$1" 32 "$2" >&2
        mv "$file.new" "$file"
    }
    echo "$file"
}

mkdir -p "$work"
get_packages
"${MAKE:-make}" -s all "$build/tests/tools/random_model" >&2 || stop 1 "dydit does not build"
if [ -n "$check" ]; then
    for name in DyDiT-S/2 DyDiT-S/8; do
        echo "$name"
        "$py" bench/peers/check.py --dydit "$build/dydit" --ckpt "$(checkpoint "$name" 0.62)" || failed=1
    done
    exit "${failed:-0}"
fi
# With 0.69 of the units and half of the tokens an XL executes 0.48 of the complete model, DyDiT's published share at lambda 0.5.
ckpt=$(checkpoint "DyDiT-$model/2" 0.69)
commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
exec "$py" bench/peers/peers.py --dydit "$build/dydit" --ckpt "$ckpt" --ir "$work/DiT-$model-$rows.xml" --cache "$work/inductor" \
    --json "$out" --markdown "${out%.json}.md" --model "DiT-$model/2" --command "$shown" --commit "$commit" --rows "$rows" \
    --threads "${threads:-$(nproc)}" --rounds "$rounds" --repeats "$repeats" --budget "$budget" --limit "$limit" --only "$only"
