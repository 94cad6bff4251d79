#!/usr/bin/env bash
# Seconds and peak memory of the filter in GIMP, for BENCHMARKS.md: labels in class colours, then labels with soft edges, whose pixels
# take the class of the nearest pixel. Needs the chroot that ci.sh makes, and the plug-in:
#
#   gimp-bridge/ci.sh && gimp-bridge/tests/gimp/figures.sh
#
# CHROOT and PLUGIN may name others; MEGAPIXELS, such as "1 12", measures some sizes only.
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=${CHROOT:-${GIMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/semsynth-gimp}/trixie}
plugin=${PLUGIN:-${CARGO_TARGET_DIR:-target}/release/plug-in-semsynth}
[ -e "$root/.complete" ] || { echo "there is no GIMP in $root: run gimp-bridge/ci.sh first"; exit 1; }
[ -x "$plugin" ] || { echo "there is no $plugin: cargo build --release -p semsynth-gimp"; exit 1; }
sizes=${MEGAPIXELS:-1 12 60}
console=$(basename "$(ls "$root"/usr/bin/gimp-console-3.* | head -n 1)")
inside() { chroot "$root" env -i HOME=/test PATH=/usr/bin:/bin LANG=C.UTF-8 GIMP3_DIRECTORY=/profile "$@"; }
mkdir -p "$root/test" "$root/profile/plug-ins"
cp "$plugin" "$root/test/program"
inside /test/program --install >/dev/null
python3 - "$PWD/gimp-bridge/tests/gimp" "$root/test" $sizes <<'PYTHON'
import sys
sys.path.insert(0, sys.argv[1])
import pictures
SIZES = {'1': (1000, 1000), '12': (4000, 3000), '60': (10000, 6000)}
for name in sys.argv[3:]:
    pictures.write(f'{sys.argv[2]}/mp{name}.png', *SIZES[name])
    pictures.write(f'{sys.argv[2]}/mp{name}-soft.png', *SIZES[name], soft=True)
PYTHON
cat >"$root/test/figure.py" <<'PYTHON'
import os
import gi
gi.require_version('Gimp', '3.0')
from gi.repository import Gimp, Gio
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(f"/test/{os.environ['PICTURE']}.png"))
procedure = Gimp.get_pdb().lookup_procedure('plug-in-semsynth-synthesize')
config = procedure.create_config()
config.set_property('run-mode', Gimp.RunMode.NONINTERACTIVE)
config.set_property('image', image)
config.set_core_object_array('drawables', image.get_layers())
print('STATUS', procedure.run(config).index(0), flush=True)
PYTHON
echo "$(inside "$console" --version 2>/dev/null | head -n 1); $(nproc) processors; load $(cut -d ' ' -f 1 /proc/loadavg)"
log=$root/test/figure.log
measure() {
    inside SEMSYNTH_TRACE=1 PICTURE="$1" "$console" -i -d -f -n --quit --batch-interpreter=python-fu-eval \
        -b "exec(open('/test/figure.py').read())" >"$log" 2>&1 </dev/null &
    local gimp=$! peak=0 process now
    while kill -0 "$gimp" 2>/dev/null; do
        for process in $(pgrep -f 'plug-in-semsynth -gimp.*-run' || true); do
            now=$(awk '/^VmHWM/ { print $2 }' "/proc/$process/status" 2>/dev/null || true)
            [ "${now:-0}" -le "$peak" ] || peak=$now
        done
        sleep 0.1
    done
    wait "$gimp" || true
    grep -q 'STATUS.*SUCCESS' "$log" || { tail "$log"; exit 1; }
    echo "$2: $(sed -n 's/^semsynth-trace: //p' "$log" | paste -sd ';'); peak $((peak / 1024)) MiB"
}
# Once for nothing: GIMP asks a new plug-in what it can do, and files come into memory.
measure "mp${sizes%% *}" "to warm up" >/dev/null
for size in $sizes; do
    measure "mp$size" "$size megapixels"
    measure "mp$size-soft" "$size megapixels, soft edges"
done
