"""Runs inside a GIMP with windows: opens the dialog; visual.sh presses its buttons."""
import os
import time
import gi
gi.require_version('Gimp', '3.0')
gi.require_version('Gegl', '0.4')
from gi.repository import Gegl, Gimp, Gio

PDB = Gimp.get_pdb()


def run(image, mode, layer=None, **arguments):
    """Status, and the layer that is returned."""
    procedure = PDB.lookup_procedure('plug-in-semsynth-synthesize')
    config = procedure.create_config()
    config.set_property('run-mode', mode)
    config.set_property('image', image)
    config.set_core_object_array('drawables', [layer or image.get_layers()[0]])
    for key, value in arguments.items():
        config.set_property(key.replace('_', '-'), value)
    result = procedure.run(config)
    return result.index(0), result.index(1) if result.index(0) == Gimp.PDBStatusType.SUCCESS else None


def pixels(image):
    layer = image.get_layers()[0]
    rect = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
    return layer.get_buffer().get(rect, 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)


def load(name):
    return Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(f'/test/{name}.png'))


image = load('labels')
image.clean_all()
before = pixels(image)
display = Gimp.Display.new(image)
status, _ = run(image, Gimp.RunMode.INTERACTIVE)
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


def undone_once(name, image, before, status):
    """After a procedure: visual.sh presses Ctrl+Z exactly once, which must bring back the image and leave nothing to undo."""
    changed = status == Gimp.PDBStatusType.SUCCESS and pixels(image) != before and image.is_dirty()
    print(f'{name}-STARTS', flush=True)
    for _ in range(80):
        time.sleep(0.25)
        if os.path.exists(f'/test/{name}-pressed'):
            break
    time.sleep(2)
    good = changed and pixels(image) == before and not image.is_dirty() and len(image.get_layers()) == 1
    state = f'{status} changed {changed}, {len(image.get_layers())} layers, dirty {image.is_dirty()}, {PDB.get_last_error()}'
    print(f'{name}-OK' if good else f'{name}-WRONG {state}', flush=True)


# The image is as it was loaded, and clean.
if image.is_dirty():
    print('UNDO-WRONG there is more than one step', flush=True)
image.select_rectangle(Gimp.ChannelOps.REPLACE, 100, 60, 80, 80)
image.clean_all()
status, _ = run(image, Gimp.RunMode.NONINTERACTIVE, output='in-place')
undone_once('UNDO-IN-PLACE', image, before, status)
soft = load('soft')
soft.clean_all()
Gimp.Display.new(soft)
before_snap = pixels(soft)
snap = PDB.lookup_procedure('plug-in-semsynth-snap')
config = snap.create_config()
config.set_property('run-mode', Gimp.RunMode.NONINTERACTIVE)
config.set_property('image', soft)
config.set_core_object_array('drawables', soft.get_layers())
undone_once('UNDO-SNAP', soft, before_snap, snap.run(config).index(0))

# The settings of the last run, which the next dialog starts with.
FILE = Gimp.directory() + '/plug-in-settings/GimpProcedureConfigRun-plug-in-semsynth-synthesize.last'
usual = open(FILE).read()


def start_with(**changes):
    """Writes settings as if an earlier run had left them."""
    settings = usual
    for name, (old, new) in changes.items():
        name = name.replace('_', '-')
        assert f'({name} {old})' in settings, settings
        settings = settings.replace(f'({name} {old})', f'({name} {new})')
    open(FILE, 'w').write(settings)


def styled():
    """An image with labels and, above them, a photo."""
    image = load('labels')
    photo = Gimp.Layer.new_from_drawable(load('photo').get_layers()[0], image)
    image.insert_layer(photo, None, 0)
    return image, image.get_layers()[1], photo


def kept():
    return bytes(Gimp.get_parasite('plug-in-semsynth-style-layers').get_data())


# GIMP stores no layers among the settings, so the plug-in keeps these by itself; the second is none that exists.
start_with(model=('"facades"', '"file"'), model_file=('NULL', '"file:///test/sean.safetensors"'),
           style=('"model"', '"layer"'), output=('"new-layer"', '"new-image"'))
image, labels, photo = styled()
Gimp.attach_parasite(Gimp.Parasite.new('plug-in-semsynth-style-layers', 0, list(f'{photo.get_id()} 999999'.encode())))
Gimp.Display.new(image)
print('REPEAT-STARTS', flush=True)
# visual.sh sets the seed to 3 and presses OK.
status, layer = run(image, Gimp.RunMode.INTERACTIVE, labels)
good = status == Gimp.PDBStatusType.SUCCESS and 'sean, seed 3' in layer.get_name()
print('SET-OK' if good else f'SET-WRONG {status} {layer and layer.get_name()} {PDB.get_last_error()}', flush=True)
good = kept() == f'{photo.get_id()} 0'.encode()
print('KEPT-OK' if good else f'KEPT-WRONG {kept()}', flush=True)
status, layer = run(image, Gimp.RunMode.WITH_LAST_VALS, labels)
good = status == Gimp.PDBStatusType.SUCCESS and layer.get_name() == 'Synthesized (sean, seed 3)'
same = good and pixels(layer.get_image()) == pixels(load('expected/regions'))
print('REPEAT-OK' if same else f'REPEAT-WRONG {status} {layer and layer.get_name()} {PDB.get_last_error()}', flush=True)

# The dialog lists the presets of the model; visual.sh chooses the second.
start_with(model=('"facades"', '"file"'), model_file=('NULL', '"file:///test/presets.safetensors"'),
           style=('"model"', '"preset"'))
image = load('indexed')
Gimp.Display.new(image)
print('PRESET-STARTS', flush=True)
status, layer = run(image, Gimp.RunMode.INTERACTIVE)
same = status == Gimp.PDBStatusType.SUCCESS and pixels(layer.get_image()) == pixels(load('expected/dry'))
chosen = '(style-preset "dry")' in open(FILE).read()
print('PRESET-OK' if same and chosen else f'PRESET-WRONG {status} {chosen} {PDB.get_last_error()}', flush=True)

start_with()
large = load('6000x4000')
before = pixels(large)
Gimp.Display.new(large)
print('LONG-STARTS', flush=True)
status, _ = run(large, Gimp.RunMode.INTERACTIVE)
good = status == Gimp.PDBStatusType.CANCEL and len(large.get_layers()) == 1 and pixels(large) == before
print('CANCEL-OK' if good else f'CANCEL-WRONG {status} {PDB.get_last_error()}', flush=True)
