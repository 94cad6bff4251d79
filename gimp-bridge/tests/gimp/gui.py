"""Runs inside a GIMP with windows: opens the dialog; visual.sh presses its buttons."""
import time
import gi
gi.require_version('Gimp', '3.0')
gi.require_version('Gegl', '0.4')
from gi.repository import Gegl, Gimp, Gio

PDB = Gimp.get_pdb()


def run(image, mode, **arguments):
    procedure = PDB.lookup_procedure('plug-in-semsynth-synthesize')
    config = procedure.create_config()
    config.set_property('run-mode', mode)
    config.set_property('image', image)
    config.set_core_object_array('drawables', [image.get_layers()[0]])
    for key, value in arguments.items():
        config.set_property(key.replace('_', '-'), value)
    return procedure.run(config).index(0)


def pixels(image):
    layer = image.get_layers()[0]
    rect = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
    return layer.get_buffer().get(rect, 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)


def load(name):
    return Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(f'/test/{name}.png'))


image = load('labels')
before = pixels(image)
display = Gimp.Display.new(image)
status = run(image, Gimp.RunMode.INTERACTIVE)
layers = len(image.get_layers())
print('OK-DONE' if status == Gimp.PDBStatusType.SUCCESS and layers == 2 else f'OK-WRONG {status} {layers} {PDB.get_last_error()}',
      flush=True)
# visual.sh presses Ctrl+Z once.
for _ in range(80):
    time.sleep(0.25)
    if len(image.get_layers()) == 1:
        break
good = len(image.get_layers()) == 1 and pixels(image) == before
print('UNDO-OK' if good else f'UNDO-WRONG {len(image.get_layers())} layers', flush=True)

large = load('6000x4000')
before = pixels(large)
Gimp.Display.new(large)
print('LONG-STARTS', flush=True)
status = run(large, Gimp.RunMode.INTERACTIVE, output='in-place')
good = status != Gimp.PDBStatusType.SUCCESS and len(large.get_layers()) == 1 and pixels(large) == before
print('CANCEL-OK' if good else f'CANCEL-WRONG {status}', flush=True)
