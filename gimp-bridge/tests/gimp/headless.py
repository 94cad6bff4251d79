"""Runs inside GIMP, through python-fu-eval: the procedures, checked against what the command has painted."""
import os
import time
import traceback

import gi
gi.require_version('Gimp', '3.0')
gi.require_version('Gegl', '0.4')
from gi.repository import Gegl, Gimp, Gio

T = '/test'
QUIET = Gimp.RunMode.NONINTERACTIVE
PDB = Gimp.get_pdb()
SYNTHESIZE, SNAP, PALETTE = ('plug-in-semsynth-synthesize', 'plug-in-semsynth-snap', 'plug-in-semsynth-label-palette')
failures = []


def call(name, **arguments):
    """Status, first result and error message of a procedure."""
    procedure = PDB.lookup_procedure(name)
    config = procedure.create_config()
    for key, value in arguments.items():
        key = key.replace('_', '-')
        if key == 'drawables':
            config.set_core_object_array(key, value)
        else:
            config.set_property(key, value)
    result = procedure.run(config)
    status = result.index(0)
    value = result.index(1) if result.length() > 1 and status == Gimp.PDBStatusType.SUCCESS else None
    return status == Gimp.PDBStatusType.SUCCESS, value, PDB.get_last_error()


def synthesize(image, layer=None, **arguments):
    layer = layer or image.get_layers()[0]
    arguments.setdefault('run_mode', QUIET)
    return call(SYNTHESIZE, image=image, drawables=[layer], **arguments)


def load(name):
    return Gimp.file_load(QUIET, Gio.File.new_for_path(f'{T}/{name}.png'))


def pixels(layer, rect=None, form="R'G'B' u8"):
    if rect is None:
        rect = (0, 0, layer.get_width(), layer.get_height())
    return layer.get_buffer().get(Gegl.Rectangle.new(*rect), 1.0, form, Gegl.AbyssPolicy.NONE)


def expected(name):
    return pixels(load('expected/' + name).get_layers()[0])


def check(name, truth, detail=''):
    print(('ok    ' if truth else 'FAIL  ') + name, '' if truth else detail, flush=True)
    if not truth:
        failures.append(name)


def case(function):
    try:
        function()
    except Exception:
        check(function.__name__, False, traceback.format_exc())


@case
def registration():
    for name in (SYNTHESIZE, SNAP, PALETTE):
        check('registered: ' + name, PDB.lookup_procedure(name) is not None)
    paths = PDB.lookup_procedure(SYNTHESIZE).get_menu_paths()
    # GIMP 3.2 drops the slash at the end.
    check('menu', [path.rstrip('/') for path in paths] == ['<Image>/Filters/Render'], paths)


@case
def new_layer():
    image = load('labels')
    below = image.get_layers()[0]
    before = pixels(below)
    good, layer, error = synthesize(image)
    check('new layer: returned', good and layer == image.get_layers()[0] and len(image.get_layers()) == 2, error)
    check('new layer: equals the command', pixels(layer) == expected('labels'))
    check('new layer: labels untouched', pixels(below) == before)
    check('new layer: name', layer.get_name() == 'Synthesized (facades, seed 0)', layer.get_name())
    check('new layer: no mask without a selection', layer.get_mask() is None)


@case
def formats():
    for name in ('rgb16', 'gama', 'soft', '1x1', '1000x3'):
        image = load(name)
        good, layer, error = synthesize(image, output='new-image')
        check(f'{name}: equals the command', good and pixels(layer) == expected(name), error)
    for name in ('indexed', 'grey'):
        image = load(name)
        good, layer, error = synthesize(image)
        check(f'{name}: new image', good and layer.get_image() != image and len(image.get_layers()) == 1, error)
        check(f'{name}: equals the command', good and pixels(layer) == expected('labels'))
        good, _, error = synthesize(image, output='in-place')
        check(f'{name}: in place says why not', not good and 'RGB' in error, error)
    image = load('labels')
    for precision in (Gimp.Precision.U16_NON_LINEAR, Gimp.Precision.FLOAT_LINEAR, Gimp.Precision.U8_NON_LINEAR):
        image.convert_precision(precision)
        good, layer, error = synthesize(image, output='new-image')
        check(f'{precision.value_nick}: equals the command', good and pixels(layer) == expected('labels'), error)


@case
def in_place():
    image = load('labels')
    layer = image.get_layers()[0]
    before = pixels(layer)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 100, 60, 80, 80)
    good, result, error = synthesize(image, output='in-place')
    check('in place: the same layer', good and result == layer and len(image.get_layers()) == 1, error)
    after = pixels(layer)
    outside = [i for i in range(256 * 192)
               if not (100 <= i % 256 < 180 and 60 <= i // 256 < 140) and after[3 * i:3 * i + 3] != before[3 * i:3 * i + 3]]
    check('in place: nothing outside the selection changed', not outside, len(outside))
    part = pixels(layer, (100, 60, 80, 80))
    check('in place: equals the command on that part', part == expected('part'))


@case
def mask_and_offsets():
    image = load('labels')
    layer = image.get_layers()[0]
    layer.set_offsets(13, -7)
    image.select_ellipse(Gimp.ChannelOps.REPLACE, 113, 53, 80, 80)
    good, result, error = synthesize(image)
    box = (result.get_offsets().offset_x, result.get_offsets().offset_y, result.get_width(), result.get_height())
    check('mask: where the selection is', good and box == (113, 53, 80, 80), (error, box))
    check('mask: of the selection', result.get_mask() is not None)
    check('mask: equals the command on that part', pixels(result) == expected('part'))
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 10, 10)
    good, _, error = synthesize(image, layer)
    check('selection beside the layer: says so', not good and 'selection' in error, error)


@case
def group():
    image = load('labels')
    layer = image.get_layers()[0]
    parent = Gimp.GroupLayer.new(image, 'group')
    image.insert_layer(parent, None, 0)
    image.reorder_item(layer, parent, 0)
    good, result, error = synthesize(image, layer)
    check('inside a group: beside the labels', good and result.get_parent() == parent, error)


@case
def options():
    image = load('labels')
    good, layer, error = synthesize(image, output='new-image', wrap_x=True, wrap_y=True)
    check('wrap: equals the command', good and pixels(layer) == expected('wrapped'), error)
    good, _, error = synthesize(load('1000x3'), wrap_x=True)
    check('wrap: a width that does not fit is named', not good and 'multiple of' in error, error)
    image = load('soft')
    good, _, error = synthesize(image, unknown_colors='refuse')
    check('refuse: lists the colours and says what to do', not good and 'rgb(' in error and 'Pencil' in error, error)
    check('refuse: image untouched', len(image.get_layers()) == 1)
    good, _, error = synthesize(load('labels'), style='file')
    check('style: a missing file is named', not good and 'style file' in error, error)
    if os.path.exists(T + '/latent.safetensors'):
        file = Gio.File.new_for_path(T + '/latent.safetensors')
        results = []
        for seed in (7, 7, 8):
            good, layer, error = synthesize(load('labels'), model='file', model_file=file, output='new-image', seed=seed)
            check(f'seed {seed}', good and f'seed {seed}' in layer.get_name(), error)
            results.append(pixels(layer))
        check('seed: the same again', results[0] == results[1] and results[0] != results[2])
        check('seed: equals the command', results[0] == expected('latent'))
        image = load('labels')
        photo = Gimp.Layer.new_from_drawable(load('photo').get_layers()[0], image)
        image.insert_layer(photo, None, 0)
        good, layer, error = synthesize(image, image.get_layers()[1], model='file', model_file=file, output='new-image',
                                        style='layer', style_layer=photo)
        check('style of a layer: equals the command', good and pixels(layer) == expected('styled'), error)
    if os.path.exists(T + '/sean.safetensors'):
        file = Gio.File.new_for_path(T + '/sean.safetensors')
        image = load('labels')
        good, _, error = synthesize(image, model='file', model_file=file)
        check('style per class: says that one is needed', not good and 'From a layer' in error, error)
        photo = Gimp.Layer.new_from_drawable(load('photo').get_layers()[0], image)
        image.insert_layer(photo, None, 0)
        good, layer, error = synthesize(image, image.get_layers()[1], model='file', model_file=file, output='new-image',
                                        style='layer', style_layer=photo, seed=3)
        check('style region by region: equals the command', good and pixels(layer) == expected('regions'), error)


@case
def mistakes():
    image = load('labels')
    good, _, error = synthesize(image, model='file', model_file=Gio.File.new_for_path('/nowhere/x.safetensors'))
    check('missing model: named', not good and '/nowhere/x.safetensors' in error, error)
    good, _, error = synthesize(image, model='file')
    check('no model file: says what to choose', not good and 'Model file' in error, error)
    good, _, error = synthesize(image, model='file', model_file=Gio.File.new_for_path(T + '/labels.png'))
    check('no model: says so', not good and 'labels.png' in error, error)
    bad = Gimp.Palette.new('bad')
    bad.add_entry('Untitled', Gegl.Color.new('red'))
    good, _, error = synthesize(image, colors='palette', palette=bad)
    check('bad palette: says what to do', not good and 'Create Label Palette' in error, error)
    good, _, error = synthesize(image, palette=bad)
    check('a palette that is not asked for does not count', good, error)
    good, _, error = call(SYNTHESIZE, run_mode=QUIET, image=image, drawables=image.get_layers()[:2])
    check('two layers: says so', not good and 'exactly one layer' in error, error)
    layer = image.get_layers()[-1]
    layer.set_lock_content(True)
    good, _, error = synthesize(image, layer, output='in-place')
    check('locked: says so', not good and 'locked' in error, error)
    layer.set_lock_content(False)
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    layer.add_mask(mask)
    good, _, error = synthesize(image, mask)
    check('a layer mask: says so', not good and 'layer mask' in error, error)


def entries_of(path):
    """Names and colours of a palette file."""
    entries = []
    for line in open(path, encoding='utf-8'):
        words = line.strip().split(None, 3)
        if len(words) == 4 and all(word.isdigit() for word in words[:3]):
            entries.append((words[3], tuple(int(word) for word in words[:3])))
    return entries


def srgb(color):
    """The bytes of a colour; GEGL gives linear light."""
    curve = [12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in list(color.get_rgba())[:3]]
    return tuple(round(255 * v) for v in curve)


@case
def palettes():
    good, palette, error = call(PALETTE, run_mode=QUIET)
    check('palette: found, as it is installed', good and palette.get_name() == 'SemSynth facades', error)
    names = [palette.get_entry_name(i)[1] for i in range(palette.get_color_count())]
    check('palette: names', names[:4] == ['0 background', '1 facade', '2 window', '3 door'] and len(names) == 12, names)
    check('palette: chosen', Gimp.context_get_palette() == palette)
    again = call(PALETTE, run_mode=QUIET)[1]
    check('palette: not made twice', again == palette)
    good, layer, error = synthesize(load('labels'), output='new-image', colors='palette', palette=palette)
    check('palette: equals the command', good and pixels(layer) == expected('labels'), error)
    # These two are not installed, so they must be created.
    file = Gio.File.new_for_path(T + '/latent.safetensors')
    for name, expected_entries, arguments in (
            ('SemSynth terrain', entries_of(T + '/semsynth-terrain.gpl'), {'model': 'terrain'}),
            ('SemSynth latent', entries_of(Gimp.directory() + '/palettes/semsynth-facades.gpl'),
             {'model': 'file', 'model_file': file})):
        before = len(Gimp.palettes_get_list(''))
        check(f'{name}: is not there yet', Gimp.Palette.get_by_name(name) is None)
        good, made, error = call(PALETTE, run_mode=QUIET, **arguments)
        there = good and made.get_name() == name and made == Gimp.Palette.get_by_name(name)
        check(f'{name}: created', there and len(Gimp.palettes_get_list('')) == before + 1, error)
        found = [(made.get_entry_name(i)[1], srgb(color)) for i, color in enumerate(made.get_colors())]
        check(f'{name}: names and colours', len(found) > 5 and found == expected_entries, found)
        check(f'{name}: chosen', Gimp.context_get_palette() == made)
        again = call(PALETTE, run_mode=QUIET, **arguments)[1]
        check(f'{name}: not created twice', again == made and len(Gimp.palettes_get_list('')) == before + 1)
    # Other colours, the same classes.
    other = Gimp.Palette.new('other')
    image = load('labels')
    layer = image.get_layers()[0]
    raw = pixels(layer)
    table = {}
    for i, (name, color) in enumerate(zip(names, palette.get_colors())):
        value = 10 + 20 * i
        other.add_entry(name.split(' ', 1)[1], Gegl.Color.new(f'#{value:02x}{255 - value:02x}80'))
        table[i] = bytes((value, 255 - value, 0x80))
    from pictures import COLORS
    swap = {bytes(color): table[i] for i, color in enumerate(COLORS)}
    recolored = b''.join(swap[raw[i:i + 3]] for i in range(0, len(raw), 3))
    layer.get_buffer().set(Gegl.Rectangle.new(0, 0, 256, 192), "R'G'B' u8", recolored)
    layer.update(0, 0, 256, 192)
    good, result, error = synthesize(image, output='new-image', colors='palette', palette=other)
    check('other colours of the same classes: the same picture', good and pixels(result) == expected('labels'), error)


@case
def snap():
    image = load('soft')
    layer = image.get_layers()[0]
    good, _, error = call(SNAP, run_mode=QUIET, image=image, drawables=[layer])
    check('snap: every pixel has a class colour', good and pixels(layer) == expected('snapped'), error)
    good, result, error = synthesize(image, output='new-image', unknown_colors='refuse')
    check('snap: the picture is that of the soft labels', good and pixels(result) == expected('soft'), error)
    image = load('gama')
    layer = image.get_layers()[0]
    own = pixels(layer)
    good, _, error = call(SNAP, run_mode=QUIET, image=image, drawables=[layer])
    check('snap: clean labels with a profile stay as they are', good and pixels(layer) == own, error)


@case
def any_size():
    """One soft pixel in a picture with a side that no label map in memory may have."""
    image = load('long-soft')
    layer = image.get_layers()[0]
    clean = pixels(load('long').get_layers()[0])
    check('long: differs in a pixel', pixels(layer) != clean)
    good, result, error = synthesize(image, output='new-image')
    check('long: equals the command', good and pixels(result) == expected('long'), error)
    good, _, error = call(SNAP, run_mode=QUIET, image=image, drawables=[layer])
    check('long: snapped', good and pixels(layer) == clean, error)


@case
def presets():
    if not os.path.exists(T + '/presets.safetensors'):
        return
    file = Gio.File.new_for_path(T + '/presets.safetensors')

    def paint(**arguments):
        return synthesize(load('indexed'), model='file', model_file=file, **arguments)
    good, first, error = paint()
    check('preset: the first without a style', good and pixels(first) == expected('first-preset'), error)
    good, layer, error = paint(style='preset', style_preset='desert')
    check('preset: equals the command', good and pixels(layer) == expected('desert'), error)
    check('preset: makes a difference', good and pixels(layer) != pixels(first))
    good, _, error = paint(style='preset', style_preset='moon')
    check('preset: an unknown name is refused with the known ones', not good and '"moon"' in error and 'alpine' in error, error)
    good, _, error = paint(style='preset')
    check('preset: none chosen says so', not good and 'No Style preset is chosen' in error and 'alpine' in error, error)
    plain = Gio.File.new_for_path(T + '/latent.safetensors')
    good, _, error = synthesize(load('labels'), model='file', model_file=plain, style='preset', style_preset='desert')
    check('preset: of a model without', not good and 'no style presets' in error, error)
    good, layer, error = paint(style_preset='moon')
    check('preset: does not count unless it is asked for', good and pixels(layer) == pixels(first), error)


@case
def last_values():
    # Scripts leave no last values; visual.sh runs the dialog, which does.
    image = load('labels')
    good, _, error = synthesize(image, output='in-place')
    good, layer, error = synthesize(load('labels'), run_mode=Gimp.RunMode.WITH_LAST_VALS)
    check('last values: those that GIMP starts with', good and layer.get_name() == 'Synthesized (facades, seed 0)', error)
    check('last values: equals the command', good and pixels(layer) == expected('labels'))


@case
def large():
    image = load('6000x4000')
    began = time.time()
    good, layer, error = synthesize(image, output='new-image')
    seconds = time.time() - began
    check(f'6000x4000: equals the command', good and pixels(layer) == expected('6000x4000'), error)
    print(f'6000x4000 took {seconds:.1f} s')


print('FAILED: ' + ', '.join(failures) if failures else 'ALL-DONE', flush=True)
