#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Ctrl-C: the run ends at the next step with exit status 130 and one line; no file is left, no half picture.
. tests/cli/lib.bash

# Programs in the background of a script are started with SIGINT ignored; dydit leaves that as it is. So it is set back.
if ! env --default-signal=INT true 2>/dev/null; then
    skip "Ctrl-C" "env has no --default-signal"
    exit 0
fi

long=(sample --ckpt "$GLYPHS" --steps 1000 --backend ref --threads 1)

# start ARGS...: in the background, until it reports progress
start() {
    env --default-signal=INT "$DYDIT" "$@" >"$OUT" 2>"$ERR" </dev/null &
    pid=$!
    for _ in $(seq 600); do
        kill -0 $pid 2>/dev/null || break
        [ -z "${until_file-}" ] || [ ! -e "$until_file" ] || break
        [ -n "${until_file-}" ] || [ ! -s "$ERR" ] || break
        sleep 0.1
    done
}

for signal in INT TERM; do
    start "${long[@]}" -n 2 --steps 30 --progress plain --trajectory-out t.st --sample-dir new/dir -o x.png
    kill -$signal $pid
    status=0
    wait $pid || status=$?
    equal "SIG$signal: exit status" 130 "$status"
    check "SIG$signal: message" grep -q -E '^dydit: stopped at step [0-9]+ of 30; nothing was written$' "$ERR"
    equal "SIG$signal: no file, no folder" '' "$(ls -A)"
    equal "SIG$signal: nothing on stdout" '' "$(cat "$OUT")"
done

until_file=p.png
start "${long[@]}" -n 1 --steps 60 --preview-interval 2 --preview-path p.png -o x.png
kill -INT $pid
status=0
wait $pid || status=$?
equal "with previews: exit status" 130 "$status"
check "with previews: the message says where" grep -q 'the last preview is in p.png' "$ERR"
equal "with previews: only the preview is left" p.png "$(ls -A)"
equal "with previews: it is a whole picture" 32x32 "$(png_size p.png)"
rm p.png
unset until_file

# Ignored signals stay ignored, as under nohup.
sh -c 'trap "" INT; exec "$@"' sh "$DYDIT" sample --ckpt "$D128" --steps 100 -l 0 -o x.png -q 2>"$ERR" &
pid=$!
sleep 0.2
kill -INT $pid 2>/dev/null
status=0
wait $pid || status=$?
equal "a signal that was ignored stays ignored" 0 "$status"
