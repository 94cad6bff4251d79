"""Compares the tables of C functions in src/api.rs with GIMP's own description of its libraries, the GIR files.

usage: check_gir.py FOLDER API.RS    (FOLDER holds share/gir-1.0 and lib/*/gir-1.0)
"""
import glob
import re
import sys
import xml.etree.ElementTree as ET

C = '{http://www.gtk.org/introspection/c/1.0}'
G = '{http://www.gtk.org/introspection/core/1.0}'
GLIB = '{http://www.gtk.org/introspection/glib/1.0}'
LIBRARIES = ('GLib-2.0', 'GObject-2.0', 'Gio-2.0', 'Gegl-0.4', 'Gimp-3.0', 'GimpUi-3.0', 'Gtk-3.0', 'GdkPixbuf-2.0')

# Kinds of values in C calls: i(nteger of 32 bits), d(ouble), f(loat), p(ointer or integer of 64 bits).
KINDS = {
    'gint': 'i', 'gboolean': 'i', 'guint': 'i', 'gint32': 'i', 'guint32': 'i', 'int': 'i', 'GQuark': 'i',
    'gdouble': 'd', 'gfloat': 'f', 'gsize': 'p', 'gulong': 'p', 'guint64': 'p', 'GType': 'p',
}
OURS = {
    'P': 'p', 'S': 'p', 'I': 'i', 'c_int': 'i', 'c_uint': 'i', 'u32': 'i', 'f64': 'd', 'f32': 'f', 'GType': 'p', 'u64': 'p',
    'usize': 'p', 'ImageRunFn': 'p', 'RunFn': 'p', 'SourceFn': 'p',
}


def tree(folder, name):
    found = glob.glob(f'{folder}/share/gir-1.0/{name}.gir') + glob.glob(f'{folder}/lib/*/gir-1.0/{name}.gir')
    if not found:
        sys.exit(f'check_gir: there is no {name}.gir in {folder}')
    return ET.parse(found[0]).getroot()


def described(trees):
    """The kinds of parameters and of the result, and whether more may follow, of each function."""
    enums = set()
    for root in trees:
        for element in list(root.iter(G + 'enumeration')) + list(root.iter(G + 'bitfield')):
            enums.update((element.get('name'), element.get(C + 'type')))

    def kind(element):
        if element is None:
            return None
        if element.tag == G + 'array':
            return 'p'
        c, name = (element.get(C + 'type') or '').replace('const ', '').strip(), element.get('name') or ''
        if c.endswith('*') or name in ('utf8', 'filename', 'gpointer'):
            return 'p'
        if name == 'none':
            return None
        if c in KINDS:
            return KINDS[c]
        if c in enums or name.split('.')[-1] in enums:
            return 'i'
        if c in ('gpointer', 'gconstpointer') or name.endswith(('Func', 'Notify')) or 'Callback' in name or 'Func' in c:
            return 'p'
        return KINDS.get(name, '?' + name)

    def value(element):
        inner = element.find(G + 'type')
        return inner if inner is not None else element.find(G + 'array')

    functions = {}
    for root in trees:
        for tag in ('function', 'method', 'constructor'):
            for function in root.iter(G + tag):
                kinds, more = [], False
                listed = function.find(G + 'parameters')
                for parameter in listed if listed is not None else []:
                    if parameter.find(G + 'varargs') is not None:
                        more = True
                    elif parameter.find(G + 'callback') is not None or parameter.tag == G + 'instance-parameter':
                        kinds.append('p')
                    elif parameter.get('direction', 'in') != 'in':
                        kinds.append('p')
                    else:
                        kinds.append(kind(value(parameter)))
                if function.get('throws') == '1':
                    kinds.append('p')
                result = function.find(G + 'return-value')
                result = kind(value(result)) if result is not None else None
                functions[function.get(C + 'identifier')] = (kinds, result, more)
        for element in root.iter():
            get_type = element.get(GLIB + 'get-type')
            if get_type:
                functions.setdefault(get_type, ([], 'p', False))
    return functions


def ours(kind):
    kind = kind.strip()
    return 'p' if kind.startswith('*') or 'fn' in kind else OURS[kind]


def main(folder, table):
    functions = described([tree(folder, name) for name in LIBRARIES])
    text = open(table).read()
    text = text.replace('unsafe extern "C" fn(P, P)', 'RunFn').replace('Option<RunFn>', 'RunFn')
    agree = differ = 0
    unknown = []
    for name, signature in re.findall(r'(g\w+|babl\w+) = c!\((.*?)\)(?=[,;]\s)', text):
        more = signature.endswith('; va')
        arguments, _, result = signature.replace('; va', '').partition('=>')
        arguments = [ours(argument) for argument in arguments.split(',') if argument.strip()]
        result = ours(result) if result.strip() else None
        if name not in functions:
            unknown.append(name)
            continue
        kinds, expected, has_more = functions[name]
        # A result may be ignored.
        if (arguments, more) != (kinds, has_more) or result not in (expected, None):
            differ += 1
            print(f'differs: {name}: table {arguments} -> {result}, GIR {kinds} -> {expected}')
        else:
            agree += 1
    print(f'{agree} functions agree with GIR, {differ} differ; not described there: {", ".join(unknown)}')
    described_elsewhere = [name for name in unknown if not name.startswith('babl_')]
    if described_elsewhere:
        print('these must be described:', ', '.join(described_elsewhere))
    sys.exit(differ > 0 or agree < 100 or bool(described_elsewhere))


main(sys.argv[1], sys.argv[2])
