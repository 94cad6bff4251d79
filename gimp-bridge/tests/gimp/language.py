"""Runs inside GIMP in another language: prints the menu label, the name of an argument, and an error message."""
import gi
gi.require_version('Gimp', '3.0')
gi.require_version('Gegl', '0.4')
from gi.repository import Gegl, Gimp, Gio

procedure = Gimp.get_pdb().lookup_procedure('plug-in-semsynth-synthesize')
nick = next(a.get_nick() for a in procedure.get_arguments() if a.name == 'output')
print('LABEL', procedure.get_menu_label(), '|', nick, flush=True)
palette = Gimp.Palette.new('fremd')
palette.add_entry('door', Gegl.Color.new('red'))
palette.add_entry('dragon', Gegl.Color.new('blue'))
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path('/test/labels.png'))
config = procedure.create_config()
for name, value in (('run-mode', Gimp.RunMode.NONINTERACTIVE), ('image', image), ('colors', 'palette'), ('palette', palette)):
    config.set_property(name, value)
config.set_core_object_array('drawables', image.get_layers())
procedure.run(config)
print('ERROR', Gimp.get_pdb().get_last_error(), flush=True)
