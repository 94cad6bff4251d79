#!/usr/bin/env bash
# Seconds and peak memory of the filter in GIMP, for BENCHMARKS.md. Run ci.sh first; it makes the chroot and installs.
#
# usage: figures.sh CHROOT
set -euo pipefail
root=$1
console=$(basename "$(ls "$root"/usr/bin/gimp-console-3.* | head -n 1)")
python3 - "$(dirname "$0")" "$root/test" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import pictures
for name, width, height in (('1', 1000, 1000), ('12', 4000, 3000), ('60', 10000, 6000)):
    pictures.write(f'{sys.argv[2]}/mp{name}.png', width, height)
END
cat >"$root/test/figure.py" <<'END'
import os
import gi
gi.require_version('Gimp', '3.0')
from gi.repository import Gimp, Gio
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(f"/test/mp{os.environ['MP']}.png"))
procedure = Gimp.get_pdb().lookup_procedure('plug-in-semsynth-synthesize')
config = procedure.create_config()
config.set_property('run-mode', Gimp.RunMode.NONINTERACTIVE)
config.set_property('image', image)
config.set_core_object_array('drawables', image.get_layers())
print('STATUS', procedure.run(config).index(0), flush=True)
END
for megapixels in 1 12 60; do
    chroot "$root" env -i HOME=/test PATH=/usr/bin:/bin LANG=C.UTF-8 GIMP3_DIRECTORY=/profile SEMSYNTH_TRACE=1 MP="$megapixels" \
        "$console" -i -d -f -n --quit --batch-interpreter=python-fu-eval -b "exec(open('/test/figure.py').read())" \
        >"$root/test/figure.log" 2>&1 &
    gimp=$!
    peak=0
    while kill -0 "$gimp" 2>/dev/null; do
        for process in $(pgrep -f 'plug-in-semsynth -gimp.*-run' || true); do
            now=$(awk '/^VmHWM/ { print $2 }' "/proc/$process/status" 2>/dev/null || true)
            [ "${now:-0}" -gt "$peak" ] && peak=$now
        done
        sleep 0.1
    done
    wait "$gimp" || true
    grep -q 'STATUS.*SUCCESS' "$root/test/figure.log" || { tail "$root/test/figure.log"; exit 1; }
    echo "$megapixels megapixels: $(sed -n 's/^semsynth-trace: //p' "$root/test/figure.log" | paste -sd ';'); peak $((peak / 1024)) MiB"
done
