"""Runs inside GIMP with SEMSYNTH_TEST_PANIC set: a panic of the plug-in is an error, and nothing else."""
import gi
gi.require_version('Gimp', '3.0')
from gi.repository import Gimp, Gio

image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path('/test/labels.png'))
procedure = Gimp.get_pdb().lookup_procedure('plug-in-semsynth-synthesize')
config = procedure.create_config()
config.set_property('run-mode', Gimp.RunMode.NONINTERACTIVE)
config.set_property('image', image)
config.set_core_object_array('drawables', image.get_layers())
status = procedure.run(config).index(0)
error = Gimp.get_pdb().get_last_error()
good = status == Gimp.PDBStatusType.EXECUTION_ERROR and 'a panic for tests' in error and len(image.get_layers()) == 1
print('PANIC-OK' if good else f'PANIC-WRONG {status} {error}', flush=True)
