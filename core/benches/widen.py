#!/usr/bin/env python3
"""Writes a CLADE (with styles or without) or SPADE model that is FACTOR times as wide and paints the same pictures: each
channel is repeated, and weights are divided by the number of copies they are summed over. For timing trained networks
at official widths.

usage: widen.py MODEL FACTOR OUTPUT
"""
import json, math, re, struct, sys
from array import array

path, factor, output = sys.argv[1], int(sys.argv[2]), sys.argv[3]
data = open(path, "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8 : 8 + size])
body = data[8 + size :]
metadata = header.pop("__metadata__")
metadata["semsynth"] = re.sub(r"ngf: (\d+)", lambda m: f"ngf: {int(m[1]) * factor}", metadata["semsynth"])
formats = {"F32": "f", "F16": "e"}


def widened(name, shape, values):
    """The shape and bytes of a tensor of the wider model."""
    # How often outputs and inputs are repeated, and by what values are divided.
    outs, ins, by = 1, 1, 1
    if "class_specified_affine" in name or name.endswith(("styled_affine.weight", "styled_affine.bias")):
        ins = factor
    elif name.endswith("styled_affine.style_weight"):
        # Of each class, all channels of gamma, then all of beta.
        classes, both, length = shape
        shape, rows = widened("class_specified_affine", [2 * classes, both // 2 * length], values)
        return [classes, both * factor, length], rows
    elif name == "conv_img.weight":
        ins, by = factor, factor
    elif "mlp_shared" in name or name == "conv_img.bias" or name.startswith("preset."):
        pass
    elif len(shape) == 4 and name != "fc.weight" and "mlp_" not in name:
        outs, ins, by = factor, factor, factor
    else:
        outs = factor
    row = math.prod(shape[1:]) if len(shape) > 1 else 1
    values = array("f", (value / by for value in values)).tobytes()
    rows = b"".join(values[i : i + 4 * row] * ins for i in range(0, len(values), 4 * row)) * outs
    shape = [shape[0] * outs] + ([shape[1] * ins] + shape[2:] if len(shape) > 1 else [])
    return shape, rows


entries, parts, at = {"__metadata__": metadata}, [], 0
for name, entry in header.items():
    begin, end = entry["data_offsets"]
    count = math.prod(entry["shape"])
    values = struct.unpack(f"<{count}{formats[entry['dtype']]}", body[begin:end])
    shape, part = widened(name, entry["shape"], values)
    parts.append(part)
    entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(part)]}
    at += len(part)
text = json.dumps(entries).encode()
text += b" " * (-len(text) % 8)
with open(output, "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))
