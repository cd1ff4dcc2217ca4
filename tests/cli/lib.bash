# SPDX-License-Identifier: MIT
# Shared by tests/cli/*.sh: sourced from the root of the project, leaves the shell in an empty folder. A script that runs no
# check fails (tests/run.sh).
# shellcheck shell=bash disable=SC2034 # variables are for the scripts
set -u
: "${DYDIT:?the program}" "${BUILD:?its build folder}"

ROOT=$PWD
GLYPHS=$ROOT/models/glyphs.safetensors # 26 letters, 1 channel, 32 x 32
GOLDEN=$ROOT/tests/golden
D64=$GOLDEN/model_d64_h4_p2.safetensors   # 10 classes, 4 channels, 8 x 8
D128=$GOLDEN/model_d128_h4_p4.safetensors # 26 classes, 1 channel, 32 x 32
D144=$GOLDEN/model_d144_h2_p2.safetensors # 10 classes, 4 channels, 16 x 16
EDIT=$BUILD/tests/tools/st_edit
LOOK=$BUILD/tests/tools/st_look

TMP=$(mktemp -d "${TEST_TMP:-${TMPDIR:-/tmp}}/cli.XXXXXX") || exit 1
trap 'rm -rf "$TMP"' EXIT
W=$TMP/work # where commands run: whatever lies here after a failure was left behind
OUT=$TMP/out ERR=$TMP/err
mkdir "$W" && cd "$W" || exit 1

# No plugin lies beside this copy: what the tests see does not depend on the backends that were built or can run here.
BUILT=$DYDIT
unset DYDIT_PLUGIN_PATH
mkdir "$TMP/bin" && cp "$BUILT" "$TMP/bin/dydit" || exit 1
DYDIT=$TMP/bin/dydit

ok() { printf 'ok - %s\n' "$1"; }
not_ok() { # NAME [REASON]
    printf 'not ok - %s\n' "$1"
    [ -z "${2-}" ] || printf '#   %s\n' "$2"
    [ ! -s "$ERR" ] || sed 's/^/#   stderr: /' "$ERR" | head -n 5
}
skip() { printf 'skip - %s # %s\n' "$1" "$2"; }

# check NAME COMMAND...: does it succeed?
check() {
    local name=$1
    shift
    if "$@" >"$TMP/check.out" 2>&1; then
        ok "$name"
    else
        not_ok "$name" "failed: $* $(head -c 300 "$TMP/check.out")"
    fi
}

# equal NAME WANT HAVE
equal() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "wanted '$2', found '$3'"; fi
}

# run ARGS...: the program with output in $OUT and $ERR; its exit status in $status
run() {
    status=0
    "$DYDIT" "$@" >"$OUT" 2>"$ERR" </dev/null || status=$?
}

# short ARGS...: a name for a check, without folders
short() {
    local text="$*"
    text=${text//"$ROOT/"/}
    printf '%s' "${text//"$TMP/"/}" | tr '\n#' '  ' | cut -c 1-150
}

# refused CODE REGEX ARGS...: exit status, one line `dydit: ...` on stderr that matches, nothing on stdout, no file left
refused() {
    local code=$1 pattern=$2 why=''
    shift 2
    ls -A "$W" >"$TMP/before"
    run "$@"
    if [ "$status" != "$code" ]; then
        why="exit status $status, not $code"
    elif [ "$(wc -l <"$ERR")" != 1 ] || ! grep -q '^dydit: ' "$ERR"; then
        why='stderr is not one line "dydit: ..."'
    elif ! grep -q -E -e "$pattern" "$ERR"; then
        why="stderr does not match $pattern"
    elif [ -s "$OUT" ]; then
        why="stdout: $(head -c 100 "$OUT")"
    elif ! ls -A "$W" | cmp -s - "$TMP/before"; then
        why="files left: $(ls -A "$W" | comm -13 "$TMP/before" - | tr '\n' ' ')"
    fi
    if [ -z "$why" ]; then ok "refused: $(short "$@")"; else not_ok "refused: $(short "$@")" "$why"; fi
}

# accepted ARGS...: exit status 0 and nothing on stderr
accepted() {
    run "$@"
    if [ "$status" = 0 ] && [ ! -s "$ERR" ]; then
        ok "accepted: $(short "$@")"
    else
        not_ok "accepted: $(short "$@")" "exit status $status"
    fi
}

# same NAME FILE FILE
same() {
    if [ -s "$2" ] && cmp -s "$2" "$3"; then ok "$1"; else not_ok "$1" "$(cmp "$2" "$3" 2>&1)"; fi
}

# differ NAME FILE FILE
differ() {
    if [ -s "$2" ] && [ -s "$3" ] && ! cmp -s "$2" "$3"; then ok "$1"; else not_ok "$1" "$2 and $3 do not differ"; fi
}

# png_size FILE: WIDTHxHEIGHT, or "no PNG"
png_size() {
    if [ "$(head -c 8 "$1" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ]; then
        od -An -tu1 -j16 -N8 "$1" | awk '{ print (($1 * 256 + $2) * 256 + $3) * 256 + $4 "x" (($5 * 256 + $6) * 256 + $7) * 256 + $8 }'
    else
        echo "no PNG"
    fi
}

# json FILE [KEY.KEY]: the value there; fails where it is no JSON
json() { "$LOOK" json "$@"; }

for tool in "$EDIT" "$LOOK"; do
    [ -x "$tool" ] || { not_ok "$tool is built"; exit 1; }
done
