"""Label pictures for the tests, written without any library: facades in the colours of the built-in model.

usage: pictures.py FOLDER
"""
import struct
import sys
import zlib

COLORS = [(0, 0, 222), (0, 48, 255), (0, 128, 255), (0, 207, 255), (32, 255, 224), (112, 255, 143), (192, 255, 63),
          (255, 240, 0), (255, 159, 0), (255, 80, 0), (255, 0, 0), (174, 0, 0)]


def class_of(x, y):
    """A facade with windows, doors and a cornice, repeated."""
    x, y = x % 256, y % 192
    if x < 16 or x >= 240 or y < 10:
        return 0
    if 14 <= y < 22:
        return 4
    if y >= 150 and 110 <= x < 140:
        return 3
    if (x - 30) % 52 < 26 and (y - 34) % 50 < 30 and 34 <= y < 140:
        return 2
    return 1


def chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def write(path, width, height, kind='rgb', extra=b'', soft=False, colors=COLORS, spot=None):
    """Writes a PNG. `soft` mixes colours at borders; the pixel `spot` has a colour of no class."""
    rows = {}
    raw = []
    for y in range(height):
        key = y % 192
        if key not in rows:
            ids = [class_of(x, y) for x in range(width)]
            if kind in ('indexed', 'grey'):
                row = bytes(ids)
            elif kind == 'rgb16':
                row = b''.join(struct.pack('>3H', *(257 * v for v in colors[i])) for i in ids)
            else:
                pixels = [colors[i] for i in ids]
                if soft:
                    # Mix the neighbours at borders, as a soft brush does.
                    pixels = [tuple((a + b) // 2 for a, b in zip(pixels[x], pixels[min(x + 1, width - 1)]))
                              for x in range(width)]
                row = b''.join(bytes(pixel) for pixel in pixels)
            rows[key] = b'\0' + row
        row = rows[key]
        if spot and spot[1] == y:
            at = 1 + 3 * spot[0]
            row = row[:at] + bytes((9, 99, 199)) + row[at + 3:]
        raw.append(row)
    color_type = {'rgb': 2, 'rgb16': 2, 'indexed': 3, 'grey': 0}[kind]
    palette = chunk(b'PLTE', b''.join(bytes(c) for c in colors)) if kind == 'indexed' else b''
    depth = 16 if kind == 'rgb16' else 8
    header = struct.pack('>IIBBBBB', width, height, depth, color_type, 0, 0, 0)
    with open(path, 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + extra + palette +
                   chunk(b'IDAT', zlib.compress(b''.join(raw), 1)) + chunk(b'IEND', b''))


if __name__ == '__main__':
    folder = sys.argv[1]
    write(folder + '/labels.png', 256, 192)
    write(folder + '/crop.png', 80, 80)
    write(folder + '/indexed.png', 256, 192, 'indexed')
    write(folder + '/grey.png', 256, 192, 'grey')
    write(folder + '/rgb16.png', 256, 192, 'rgb16')
    write(folder + '/soft.png', 256, 192, soft=True)
    write(folder + '/1x1.png', 1, 1)
    write(folder + '/1000x3.png', 1000, 3)
    write(folder + '/6000x4000.png', 6000, 4000)
    # A side that is too long for a label map in memory; one pixel in the middle of a wall has no class.
    write(folder + '/long.png', 40000, 100)
    write(folder + '/long-soft.png', 40000, 100, spot=(35000, 30))
    # As ImageMagick writes them: GIMP then gives the image a colour profile.
    gamma = chunk(b'gAMA', struct.pack('>I', 45455))
    primaries = chunk(b'cHRM', struct.pack('>8I', 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    write(folder + '/gama.png', 256, 192, extra=gamma + primaries)
