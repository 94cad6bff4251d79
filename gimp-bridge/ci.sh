#!/usr/bin/env bash
# Tests the plug-in in real GIMP, in a chroot: every procedure without a window, then the dialog with one.
#
# Needs root, mmdebstrap and a Debian mirror for the first run; the chroot is kept in GIMP_CACHE (default:
# ~/.cache/semsynth-gimp). `ci.sh SUITE` takes the GIMP of another Debian suite, such as forky for GIMP 3.2.
# PLUGIN and COMMAND may name the two programs; otherwise they are built.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:-trixie}
here=$PWD/gimp-bridge/tests/gimp
cache=${GIMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/semsynth-gimp}
root=$cache/$suite
models=$cache/models
skip() { echo "skipped: GIMP of $suite: $1"; exit 0; }

[ "$(uname -s)" = Linux ] || skip "a chroot needs Linux"
[ "$(id -u)" = 0 ] || skip "making a chroot needs root"
packages=(mmdebstrap xvfb xdotool imagemagick gettext python3)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
    { timeout 300 apt-get update -qq && timeout 300 apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >/dev/null 2>&1 ||
        skip "cannot install ${packages[*]}"
fi

# Translations are what msgfmt makes of them, and have the texts of the program.
for language in de fr; do
    fresh=$(mktemp)
    msgfmt --check-format -o "$fresh" "gimp-bridge/i18n/$language.po"
    cmp "$fresh" "gimp-bridge/i18n/$language.mo" || { echo "failed: make gimp-bridge/i18n/$language.mo anew with msgfmt"; exit 1; }
    rm "$fresh"
done

if [ ! -e "$root/.complete" ]; then
    rm -rf "$root"
    mkdir -p "$cache"
    # The suite `forky` of a mirror may be older than it says is good: its signature still counts, its date does not.
    [ "$suite" = trixie ] && dated=true || dated=false
    timeout 900 mmdebstrap --quiet --variant=apt --include=gimp,ca-certificates,locales \
        --aptopt='Apt::Install-Recommends "false"' --aptopt="Acquire::Check-Valid-Until \"$dated\"" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$root" >/dev/null 2>&1 || skip "mmdebstrap cannot make the chroot"
    # GIMP's description of its libraries, without the development packages around it.
    chroot "$root" bash -euc 'mkdir -p /gir && cd /gir && apt-get update -qq
        apt-get download -qq libgimp-3.0-dev libgegl-dev libgtk-3-dev libglib2.0-dev gir1.2-glib-2.0-dev libgdk-pixbuf-2.0-dev >/dev/null 2>&1
        for package in *.deb; do
            dpkg-deb --fsys-tarfile "$package" | tar -x --wildcards "./usr/share/gir-1.0/*" "./usr/lib/*/gir-1.0/*" 2>/dev/null || true
        done
        rm *.deb' || skip "the GIR files cannot be fetched"
    for locale in de_DE fr_FR; do chroot "$root" localedef -i "$locale" -f UTF-8 "$locale.UTF-8"; done
    touch "$root/.complete"
fi

target=${CARGO_TARGET_DIR:-target}/release
if [ -z "${PLUGIN:-}" ] || [ -z "${COMMAND:-}" ]; then
    # The whole workspace at once, so that its dependencies are built once.
    cargo build --release --workspace --exclude bevy_semsynth --bins
    PLUGIN=$target/plug-in-semsynth
    COMMAND=$target/semsynth
fi

echo "-- the table of functions against GIR"
python3 "$here/check_gir.py" "$root/gir/usr" gimp-bridge/src/api.rs
# What is wrong must be noticed: a function, functions that GIMP calls, and structures.
while read -r mistake; do
    broken=$(mktemp)
    sed "$mistake" gimp-bridge/src/api.rs >"$broken"
    ! cmp -s "$broken" gimp-bridge/src/api.rs || { echo "failed: nothing to replace: $mistake"; exit 1; }
    ! python3 "$here/check_gir.py" "$root/gir/usr" "$broken" >/dev/null || { echo "failed: not noticed: $mistake"; exit 1; }
    rm "$broken"
done <<'END'
s/gimp_layer_new = c!(P, S, I,/gimp_layer_new = c!(P, S,/
s/type ImageRunFn = unsafe extern "C" fn(P, c_int,/type ImageRunFn = unsafe extern "C" fn(P,/
s/type RunFn = unsafe extern "C" fn(P, P, P) -> P/type RunFn = unsafe extern "C" fn(P, P) -> P/
s/type SourceFn = unsafe extern "C" fn(P) -> I/type SourceFn = unsafe extern "C" fn(P)/
s/c_uint, unsafe extern "C" fn(P, P), c_uint/c_uint, unsafe extern "C" fn(P, I), c_uint/
s/set_i18n: Option<unsafe extern "C" fn(P, S, /set_i18n: Option<unsafe extern "C" fn(P, /
s/reserved: .usize; 10./reserved: [usize; 9]/
s/pub(crate) class_size: c_uint/pub(crate) class_size: usize/
END

# Models whose pictures depend on a seed and on styles: untrained, which does not matter here.
mkdir -p "$models"
train() {
    local name=$1
    shift
    [ -e "$models/$name.safetensors" ] && return
    local run
    run=$(mktemp -d)
    "$COMMAND" train "$@" --steps 1 --batch 1 --size 64 --ngf 8 --device cpu --out "$run/run" >/dev/null 2>&1
    cp "$run/run/model.safetensors" "$models/$name.safetensors"
    rm -rf "$run"
}
train latent --arch spade --latent
train sean --arch sean
if [ ! -e "$models/presets.safetensors" ]; then
    run=$(mktemp -d)
    "$COMMAND" train --recipe "$here/presets.ron" --device cpu --out "$run/run" >/dev/null 2>&1
    cp "$run/run/model.safetensors" "$models/presets.safetensors"
    rm -rf "$run"
fi

echo "-- pictures of the command"
work=$root/test
rm -rf "$work" "$root/profile"
mkdir -p "$work/expected" "$root/profile/plug-ins"
echo '(show-welcome-dialog no)' >"$root/profile/gimprc"
python3 "$here/pictures.py" "$work"
cp "$models"/*.safetensors "$here"/*.py "$work/"
convert "$work/labels.png" -resize 256x192! -blur 0x3 -modulate 90,60 -strip "PNG24:$work/photo.png"
convert "$work/labels.png" -crop 80x80+100+60 +repage -strip -define png:exclude-chunks=gAMA,cHRM,bKGD "PNG24:$work/part.png"
synth() { "$COMMAND" synth --model "$1" --labels "$work/$2.png" --output "$work/expected/$3.png" --device cpu "${@:4}" >/dev/null; }
for name in labels part rgb16 gama 1x1 1000x3 6000x4000; do synth builtin:facades "$name" "$name"; done
synth builtin:facades soft soft --unknown-colors nearest-pixel
synth builtin:facades long long --memory 1GiB
synth builtin:facades labels wrapped --wrap
synth "$models/latent.safetensors" labels latent --seed 7
synth "$models/latent.safetensors" labels styled --style-photo "$work/photo.png"
synth "$models/sean.safetensors" labels regions --seed 3 --style-photo "$work/photo.png" --style-labels "$work/labels.png"
synth "$models/presets.safetensors" indexed first-preset
synth "$models/presets.safetensors" indexed desert --preset desert
synth "$models/presets.safetensors" indexed dry --preset dry
python3 - "$here" "$work" <<'END'
# What snapping the soft labels gives, by its definition: the class of the nearest pixel of an exact class colour.
import sys
sys.path.insert(0, sys.argv[1])
import pictures
width, height = 256, 192
exact = set(pictures.COLORS)
def soft(y):
    row = [pictures.COLORS[pictures.class_of(x, y)] for x in range(width)]
    return [tuple((a + b) // 2 for a, b in zip(row[x], row[min(x + 1, width - 1)])) for x in range(width)]
rows = [soft(y) for y in range(height)]
def nearest(x, y):
    if rows[y][x] in exact:
        return rows[y][x]
    around = [(dx * dx + dy * dy, x + dx, y + dy) for dx in range(-6, 7) for dy in range(-6, 7)
              if 0 <= x + dx < width and 0 <= y + dy < height and rows[y + dy][x + dx] in exact]
    _, x, y = min(around)
    return rows[y][x]
cleaned = [[nearest(x, y) for x in range(width)] for y in range(height)]
import struct, zlib
raw = b''.join(b'\0' + b''.join(bytes(p) for p in row) for row in cleaned)
with open(sys.argv[2] + '/expected/snapped.png', 'wb') as file:
    file.write(b'\x89PNG\r\n\x1a\n' + pictures.chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)) +
               pictures.chunk(b'IDAT', zlib.compress(raw)) + pictures.chunk(b'IEND', b''))
END

if [ -e "$root/usr/bin/bwrap" ]; then
    install -m 755 "$here/bwrap.sh" "$root/usr/bin/bwrap"
fi
# A browser that writes down what it is asked to show: GIMP's help opens pages in the browser of the system.
install -m 755 "$here/browser.sh" "$root/usr/local/bin/test-browser"
mkdir -p "$root/usr/share/applications" "$work/.config"
printf '[Desktop Entry]\nType=Application\nName=Test\nExec=/usr/local/bin/test-browser %%u\nMimeType=text/html;x-scheme-handler/file;x-scheme-handler/https;\n' \
    >"$root/usr/share/applications/test-browser.desktop"
printf '[Default Applications]\ntext/html=test-browser.desktop\nx-scheme-handler/https=test-browser.desktop\n' >"$work/.config/mimeapps.list"

inside() { chroot "$root" env -i HOME=/test PATH=/usr/bin:/bin LANG=C.UTF-8 PYTHONPATH=/test GIMP3_DIRECTORY=/profile NO_AT_BRIDGE=1 "$@"; }

echo "-- installing"
cp "$PLUGIN" "$work/program"
inside /test/program --install
inside /test/program --check
inside /test/program --uninstall >/dev/null
inside /test/program --install >/dev/null
# The palette of one built-in model stays, to be found; that of the other is to be created.
mv "$root/profile/palettes/semsynth-terrain.gpl" "$work/"

console=$(basename "$(ls "$root"/usr/bin/gimp-console-3.* | head -n 1)")
python_fu() { local seconds=$1 script=$2; shift 2; timeout "$seconds" chroot "$root" env -i HOME=/test PATH=/usr/bin:/bin LANG=C.UTF-8 PYTHONPATH=/test \
    GIMP3_DIRECTORY=/profile "$@" "$console" -i -f -n --quit --batch-interpreter=python-fu-eval -b "exec(open('/test/$script.py').read())" </dev/null; }

echo "-- $(inside "$console" --version 2>/dev/null | head -n 1): without a window"
log=$cache/headless-$suite.log
# Most of it is the picture of 24 megapixels, where other builds run beside.
python_fu 900 headless >"$log" 2>&1 || true
grep -E '^(ok|FAIL|FAILED|ALL-DONE|6000x4000)|^Traceback' "$log" || true
grep -q ALL-DONE "$log" || { echo "failed: see $log"; exit 1; }
if grep -E 'semsynth.*(WARNING|CRITICAL)|(WARNING|CRITICAL).*semsynth' "$log" | grep -v 'gimp_flush(): error: Broken pipe'; then echo "failed: GIMP warns of the plug-in"; exit 1; fi

echo "-- a panic is an error message, and the image stays"
python_fu 60 panic SEMSYNTH_TEST_PANIC=1 >"$log.panic" 2>&1 || true
grep -q '^PANIC-OK' "$log.panic" || { cat "$log.panic"; echo "failed: panic"; exit 1; }

echo "-- in other languages"
while IFS='|' read -r locale label error; do
    python_fu 100 language LANG="$locale.UTF-8" >"$log.$locale" 2>&1 || true
    grep "^LABEL $label" "$log.$locale" && grep "^ERROR.*$error" "$log.$locale" ||
        { cat "$log.$locale"; echo "failed: the language of $locale"; exit 1; }
done <<'END'
de_DE|Aus Klassenkarte|Die Palette „fremd.*“ hat Einträge, die keine Klasse dieses Modells nennen: "dragon"
fr_FR|S_ynthétiser à partir|La palette « fremd.* » a des entrées qui ne nomment aucune classe de ce modèle : "dragon"
END

"$here/visual.sh" "$root" "$cache/screens-$suite"
