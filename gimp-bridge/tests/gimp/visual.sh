#!/usr/bin/env bash
# The dialog in a real GIMP with a window, under Xvfb: OK, undo, Cancel of a running synthesis. Called by ci.sh.
#
# usage: visual.sh CHROOT FOLDER-FOR-SCREENSHOTS
set -euo pipefail
root=$1
screens=$2
for program in Xvfb xdotool import; do
    command -v "$program" >/dev/null || { echo "skipped: the dialog: there is no $program"; exit 0; }
done
rm -rf "$screens"
mkdir -p "$screens"
display=98
export DISPLAY=:$display
# GIMP in the chroot reaches the server through its abstract socket: both share the network.
Xvfb "$DISPLAY" -screen 0 1280x960x24 -nolisten tcp >/dev/null 2>&1 &
server=$!
gimp=
finish() {
    [ -z "$gimp" ] || kill "$gimp" 2>/dev/null || true
    kill "$server" 2>/dev/null || true
    wait 2>/dev/null || true
}
trap finish EXIT
fail() {
    import -window root "$screens/failure.png" || true
    tail -n 20 "$root/test/gui.log" || true
    echo "failed: the dialog: $1 (screenshots in $screens)"
    exit 1
}
sleep 2
program=$(basename "$(ls "$root"/usr/bin/gimp-3.* | head -n 1)")
chroot "$root" env -i HOME=/test PATH=/usr/bin:/bin LANG="${GIMP_LANG:-C.UTF-8}" PYTHONPATH=/test NO_AT_BRIDGE=1 DISPLAY="$DISPLAY" \
    GIMP3_DIRECTORY=/profile "$program" -n -s --batch-interpreter=python-fu-eval -b "exec(open('/test/gui.py').read())" \
    >"$root/test/gui.log" 2>&1 &
gimp=$!

# Waits for a line of the script in GIMP.
expect() {
    for _ in $(seq "$2"); do
        grep -q "^$1" "$root/test/gui.log" && return
        sleep 0.5
    done
    fail "no line \"$1\""
}
window() {
    # The first window of GIMP 3.2 takes long: it starts a process for each icon.
    for _ in $(seq 400); do
        found=$(xdotool search --name '^Synthesize from Labels' 2>/dev/null | tail -n 1 || true)
        [ -n "$found" ] && return
        sleep 0.5
    done
    fail "it does not open"
}

window
sleep 5
import -window root "$screens/dialog.png"
xdotool windowfocus "$found" 2>/dev/null || true
# The preview must not be empty: more than a hundred colours in the whole window.
colors=$(convert "$screens/dialog.png" -format %k info:)
[ "$colors" -gt 500 ] || fail "there are only $colors colours on the screen, so no preview"
# Help shows a page that is there.
rm -f "$root/test/browsed"
for _ in 1 2 3; do
    xdotool key --window "$found" F1
    for _ in $(seq 20); do [ -s "$root/test/browsed" ] && break 2; sleep 0.5; done
done
page=$(sed 's|^file://||' "$root/test/browsed" 2>/dev/null | tail -n 1 || true)
[ -n "$page" ] && grep -q '<h1>Synthesize from Labels' "$root$page" || fail "help shows \"$(cat "$root/test/browsed" 2>/dev/null)\""
echo "ok    help: opens $page"
xdotool windowfocus "$found" 2>/dev/null || true
pressed=$(date +%s%N)
xdotool key --window "$found" Return
expect 'OK-DONE' 120
echo "ok    dialog: OK gives a layer ($(((($(date +%s%N) - pressed)) / 1000000)) ms with the polling of this test)"
sleep 1
import -window root "$screens/result.png"
# Undo once, in the image's window.
for id in $(xdotool search --onlyvisible --class gimp 2>/dev/null || true); do
    grep -q '^UNDO-' "$root/test/gui.log" && break
    xdotool windowfocus "$id" 2>/dev/null || true
    xdotool key --window "$id" ctrl+z 2>/dev/null || true
    main=$id
    sleep 1
done
expect 'UNDO-[OW]' 60
grep -q '^UNDO-OK' "$root/test/gui.log" || fail "$(grep '^UNDO-' "$root/test/gui.log")"
! grep -q '^UNDO-WRONG' "$root/test/gui.log" || fail "$(grep '^UNDO-' "$root/test/gui.log")"
echo "ok    undo: one step brings the image back"
# Now it is known which window undoes, so it gets Ctrl+Z exactly once.
for name in UNDO-IN-PLACE UNDO-SNAP; do
    expect "$name-STARTS" 120
    sleep 2
    xdotool windowfocus "$main" 2>/dev/null || true
    xdotool key --window "$main" ctrl+z
    touch "$root/test/$name-pressed"
    expect "$name-[OW]" 60
    grep -q "^$name-OK" "$root/test/gui.log" || fail "$(grep "^$name" "$root/test/gui.log")"
    echo "ok    ${name,,}: one step brings the image back"
done

# Last values: another seed in the dialog, then a run without one.
expect 'REPEAT-STARTS' 60
window
sleep 5
import -window root "$screens/styled.png"
xdotool windowfocus "$found" 2>/dev/null || true
xdotool key --window "$found" alt+d
xdotool key --window "$found" ctrl+a
xdotool type --window "$found" 3
xdotool key --window "$found" Tab
sleep 2
import -window root "$screens/styled.png"
xdotool key --window "$found" alt+z
for step in SET KEPT REPEAT; do
    expect "$step-[OW]" 120
    grep -q "^$step-OK" "$root/test/gui.log" || fail "$(grep "^$step-" "$root/test/gui.log")"
done
echo "ok    last values: model file, style, its layers and the seed come back"

# The list of presets comes after the style.
expect 'PRESET-STARTS' 60
window
sleep 5
xdotool windowfocus "$found" 2>/dev/null || true
xdotool key --window "$found" alt+e
xdotool key --window "$found" Tab
xdotool key --window "$found" Down
sleep 3
import -window root "$screens/preset.png"
xdotool key --window "$found" alt+z
expect 'PRESET-[OW]' 120
grep -q '^PRESET-OK' "$root/test/gui.log" || fail "$(grep '^PRESET-' "$root/test/gui.log")"
echo "ok    preset: one of the list in the dialog"

# A synthesis that takes long is cancelled: GIMP then kills the plug-in.
expect 'LONG-STARTS' 60
window
sleep 5
xdotool windowfocus "$found" 2>/dev/null || true
xdotool key --window "$found" Return
sleep 5
import -window root "$screens/progress.png"
# The button is in the status bar, left of the docks; where exactly depends on the theme. A click beside it does nothing.
width=0
for id in $(xdotool search --onlyvisible --class gimp 2>/dev/null || true); do
    eval "$(xdotool getwindowgeometry --shell "$id" | sed -n 's/^\(X\|Y\|WIDTH\|HEIGHT\)=/at_\1=/p')"
    [ "$at_WIDTH" -gt "$width" ] && { width=$at_WIDTH; left=$at_X; bottom=$((at_Y + at_HEIGHT)); }
done
for percent in 66 64 62 60 68 58 70 56; do
    grep -q '^CANCEL-' "$root/test/gui.log" && break
    xdotool mousemove $((left + width * percent / 100)) $((bottom - 17)) click 1
    sleep 0.5
done
expect 'CANCEL-' 60
grep -q '^CANCEL-OK' "$root/test/gui.log" || fail "$(grep '^CANCEL-' "$root/test/gui.log")"
import -window root "$screens/cancelled.png"
echo "ok    cancel: the image is untouched"
