"""Paints a facade with nothing but ctypes: any language that can call C can do this.

usage: synthesize.py OUTPUT.ppm [LIBRARY]     LIBRARY is libsemsynth.so.0.1 or where that is
"""
import ctypes as c
import sys

output, library = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "libsemsynth.so.0.1"
lib = c.CDLL(library)


class Pixels(c.Structure):  # SemsynthLabels, and its first seven fields are those of SemsynthImage
    _fields_ = [("struct_size", c.c_size_t), ("data", c.c_void_p), ("width", c.c_size_t), ("height", c.c_size_t),
                ("stride", c.c_ssize_t), ("format", c.c_uint32), ("policy", c.c_uint32), ("tolerance", c.c_uint32),
                ("reserved", c.c_uint32), ("palette", c.c_void_p)]


def call(name, *arguments):
    if getattr(lib, name)(*arguments):
        message = c.create_string_buffer(1024)
        lib.semsynth_last_error(message, c.c_size_t(1024))
        sys.exit(f"{name}: {message.value.decode()}")


device, model, session = c.c_void_p(), c.c_void_p(), c.c_void_p()
call("semsynth_device_create", b"cpu", c.byref(device))
call("semsynth_model_load_builtin", b"facades", c.byref(model))
call("semsynth_session_create", device, model, None, c.byref(session))
wall, window = c.c_uint32(), c.c_uint32()
call("semsynth_model_find_class", model, b"facade", c.byref(wall))
call("semsynth_model_find_class", model, b"window", c.byref(window))
side = 256
ids = bytes(window.value if x % 64 > 32 and y % 64 > 24 else wall.value for y in range(side) for x in range(side))
picture = c.create_string_buffer(3 * side * side)
labels = Pixels(c.sizeof(Pixels), c.cast(ids, c.c_void_p), side, side, 0, 1)
image = Pixels(48, c.cast(picture, c.c_void_p), side, side, 0, 16)
call("semsynth_synthesize", session, c.byref(labels), None, c.byref(image))
with open(output, "wb") as file:
    file.write(b"P6 %d %d 255\n" % (side, side) + picture.raw)
