"""Compares src/api.rs with GIMP's own description of its libraries, the GIR files: the tables of C functions, the types of
functions that GIMP calls, and the layouts of structures.

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

# Kinds of values in C calls: i(nteger of 32 bits), d(ouble), f(loat), p(ointer or integer of 64 bits). A pointer to a
# function that is described is ('fn', kinds of its parameters, kind of its result).
KINDS = {
    'gint': 'i', 'gboolean': 'i', 'guint': 'i', 'gint32': 'i', 'guint32': 'i', 'int': 'i', 'GQuark': 'i',
    'gdouble': 'd', 'gfloat': 'f', 'gsize': 'p', 'gulong': 'p', 'guint64': 'p', 'GType': 'p',
}
OURS = {
    'P': 'p', 'S': 'p', 'I': 'i', 'c_int': 'i', 'c_uint': 'i', 'u32': 'i', 'f64': 'd', 'f32': 'f', 'GType': 'p', 'u64': 'p',
    'usize': 'p',
}
# Our structures, GIMP's, and the first field that is compared.
RECORDS = (('Rect', 'GeglRectangle', 0), ('TypeQuery', 'GTypeQuery', 0), ('PlugInClass', 'GimpPlugInClass', 1))


def tree(folder, name):
    found = glob.glob(f'{folder}/share/gir-1.0/{name}.gir') + glob.glob(f'{folder}/lib/*/gir-1.0/{name}.gir')
    if not found:
        sys.exit(f'check_gir: there is no {name}.gir in {folder}')
    return ET.parse(found[0]).getroot()


class Described:
    """What the GIR files say."""

    def __init__(self, trees):
        self.enums = set()
        callbacks = {}
        records = {}
        for root in trees:
            for element in list(root.iter(G + 'enumeration')) + list(root.iter(G + 'bitfield')):
                self.enums.update((element.get('name'), element.get(C + 'type')))
            for element in root.iter(G + 'callback'):
                callbacks[element.get(C + 'type')] = element
            for element in root.iter(G + 'record'):
                records[element.get(C + 'type')] = element
        # While callbacks are read, those among their parameters are pointers.
        self.callbacks = {}
        self.callbacks = {name: self.callback(element) for name, element in callbacks.items() if name}
        self.functions = {}
        for root in trees:
            for tag in ('function', 'method', 'constructor'):
                for function in root.iter(G + tag):
                    self.functions[function.get(C + 'identifier')] = self.function(function)
            for element in root.iter():
                get_type = element.get(GLIB + 'get-type')
                if get_type:
                    self.functions.setdefault(get_type, ([], 'p', False))
        self.records = {name: [self.field(field) for field in element.findall(G + 'field')]
                        for name, element in records.items() if name}

    def kind(self, element):
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
        if c in self.enums or name.split('.')[-1] in self.enums:
            return 'i'
        if c in self.callbacks:
            return self.callbacks[c]
        if c in ('gpointer', 'gconstpointer') or name.endswith(('Func', 'Notify')) or 'Callback' in name or 'Func' in c:
            return 'p'
        return KINDS.get(name, '?' + name)

    def value(self, element):
        inner = element.find(G + 'type')
        return self.kind(inner if inner is not None else element.find(G + 'array'))

    def function(self, function):
        """The kinds of the parameters and of the result, and whether more may follow."""
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
                kinds.append(self.value(parameter))
        if function.get('throws') == '1':
            kinds.append('p')
        result = function.find(G + 'return-value')
        return kinds, self.value(result) if result is not None else None, more

    def callback(self, element):
        kinds, result, _ = self.function(element)
        return 'fn', tuple(kinds), result

    def field(self, field):
        callback = field.find(G + 'callback')
        return self.value(field) if callback is None else self.callback(callback)


def inside(text, at):
    """What is between the parenthesis that ends before `at` and the one that closes it, and where that is."""
    depth = 1
    for end in range(at, len(text)):
        depth += {'(': 1, ')': -1}.get(text[end], 0)
        if depth == 0:
            return text[at:end], end
    sys.exit('check_gir: a parenthesis is not closed')


def split(text):
    """The parts between commas that are in no parentheses or brackets."""
    parts, depth = [''], 0
    for letter in text.replace('->', '\u2192'):
        depth += {'(': 1, ')': -1, '<': 1, '>': -1, '[': 1, ']': -1}.get(letter, 0)
        if letter == ',' and depth == 0:
            parts.append('')
        else:
            parts[-1] += letter
    return [part.strip().replace('\u2192', '->') for part in parts if part.strip()]


class Ours:
    """What src/api.rs says."""

    def __init__(self, text):
        self.text = re.sub(r'//.*', '', text)
        self.aliases = dict(re.findall(r'type (\w+) = (unsafe extern "C" fn.*?);', self.text))

    def kind(self, kind):
        optional = re.fullmatch(r'Option<(.*)>', kind)
        kind = optional.group(1) if optional else kind
        kind = self.aliases.get(kind, kind)
        if 'fn(' not in kind:
            return 'p' if kind.startswith('*') else OURS[kind]
        parameters, end = inside(kind, kind.index('fn(') + 3)
        result = kind[end + 1:].replace('->', '').strip()
        return 'fn', tuple(self.kind(part) for part in split(parameters)), self.kind(result) if result else None

    def functions(self):
        """Name, kinds of the parameters, kind of the result if it is used, and whether more may follow."""
        for found in re.finditer(r'(g\w+|babl\w+) = c!\(', self.text):
            signature, _ = inside(self.text, found.end())
            more = signature.endswith('; va')
            arguments, _, result = signature.replace('; va', '').partition('=>')
            result = result.strip()
            yield found.group(1), [self.kind(part) for part in split(arguments)], self.kind(result) if result else None, more

    def record(self, name):
        body = re.search(r'struct ' + name + r' \{(.*?)\n\}', self.text, re.S).group(1)
        kinds = []
        for field in split(body):
            of = field.split(':', 1)[1].strip()
            array = re.fullmatch(r'\[(\w+); (\d+)\]', of)
            if array:
                kinds += [self.kind(array.group(1))] * int(array.group(2))
            else:
                # A structure inside of one is not compared.
                kinds.append(self.kind(of) if of in OURS or 'fn' in of else None)
        return kinds


def same(ours, theirs):
    """Whether a kind of ours can stand for one of theirs: a pointer for any function, for null is none."""
    return ours == theirs or (ours == 'p' and isinstance(theirs, tuple))


def main(folder, table):
    described = Described([tree(folder, name) for name in LIBRARIES])
    ours = Ours(open(table).read())
    agree = differ = callbacks = 0
    unknown = []

    def compare(name, good, mine, theirs):
        nonlocal agree, differ
        if good:
            agree += 1
        else:
            differ += 1
            print(f'differs: {name}: table {mine}, GIR {theirs}')

    for name, arguments, result, more in ours.functions():
        if name not in described.functions:
            unknown.append(name)
            continue
        kinds, expected, has_more = described.functions[name]
        callbacks += sum(isinstance(kind, tuple) for kind in arguments)
        # A result may be ignored.
        good = len(arguments) == len(kinds) and all(map(same, arguments, kinds)) and more == has_more
        good = good and result in (expected, None)
        compare(name, good, (arguments, result), (kinds, expected))
    for name, theirs, first in RECORDS:
        mine, fields = ours.record(name)[first:], described.records[theirs][first:]
        callbacks += sum(isinstance(kind, tuple) for kind in mine)
        # Reserved fields are functions that do not exist yet.
        good = len(mine) == len(fields) and all(map(same, mine, fields))
        compare(name, good, mine, fields)
    print(f'{agree} functions and structures agree with GIR, {differ} differ; {callbacks} functions that GIMP calls are among '
          f'them; not described there: {", ".join(unknown)}')
    described_elsewhere = [name for name in unknown if not name.startswith('babl_')]
    if described_elsewhere:
        print('these must be described:', ', '.join(described_elsewhere))
    sys.exit(differ > 0 or agree < 100 or callbacks < 10 or bool(described_elsewhere))


main(sys.argv[1], sys.argv[2])
