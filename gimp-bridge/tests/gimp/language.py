"""Runs inside GIMP in another language: prints the menu label and the name of an argument."""
import gi
gi.require_version('Gimp', '3.0')
from gi.repository import Gimp

procedure = Gimp.get_pdb().lookup_procedure('plug-in-semsynth-synthesize')
nick = next(a.get_nick() for a in procedure.get_arguments() if a.name == 'output')
print('LABEL', procedure.get_menu_label(), '|', nick, flush=True)
