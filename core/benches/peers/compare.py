"""Benchmarks ONNX Runtime, PyTorch and semsynth on the same networks with the same weights, on the CPU, in one run.

    python3 compare.py --semsynth target/release/semsynth --work /tmp/peers --labels FACADES/val_label
    python3 compare.py --semsynth target/release/semsynth --work /tmp/peers --noise --net clade-ade20k

Weights are random (`checkpoint.py`); PyTorch and ONNX Runtime get them with spectral norm folded, semsynth by `semsynth
import`. Networks have their official width (ngf 64) and synthesize one 256x256 picture at a time in 32-bit floats, with
the running statistics of their batch norms. The time of a picture is from the label map in memory to the picture's
bytes; it includes making one-hot maps and mapping the styles of SEAN. The systems take turns: in every round each is
started as a new process and synthesizes one picture to warm up and then `--runs` more, over the same label maps. A
figure is the median of the medians of its rounds.

Needs an interpreter with PyTorch (Debian: apt-get install python3-torch libopenblas0; with Debian's plain libblas SEAN
takes a little longer) and one with ONNX Runtime (pip install onnxruntime); they may be different ones, and each needs
NumPy. Files are kept in `--work`, 2.5 to 4 GB for SEAN and 6 to 9 GB for all networks, and reused by the next run.
The forward functions are written from the papers; names are facts of the published networks.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import re
import statistics
import struct
import subprocess
import sys
import time
import warnings
import zlib

SIZE = 256
STYLE = 512
# Network: architecture, number of classes.
NETS = {
    "spade-ade20k": ("spade", 151),
    "spade-facades": ("spade", 12),
    "clade-ade20k": ("clade", 151),
    "clade-facades": ("clade", 12),
    "sean-celebamask": ("sean", 19),
}
# Largest allowed difference between pictures of two systems, of 255: values are truncated to bytes, so rounding can
# show.
TOLERANCE = 2
PEERS = ("onnxruntime", "torch")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for files, used again")
    parser.add_argument("--net", action="append", choices=list(NETS), help="may be repeated [default: all]")
    parser.add_argument("--semsynth", type=pathlib.Path, default="target/release/semsynth", help="the program")
    maps = parser.add_mutually_exclusive_group()
    maps.add_argument("--labels", type=pathlib.Path, help="folder of PNGs whose values are class ids")
    maps.add_argument("--noise", action="store_true", help="every pixel another random class")
    parser.add_argument("--maps", type=int, default=6, help="label maps to use [default: 6]")
    parser.add_argument("--rounds", type=int, default=3, help="[default: 3]")
    parser.add_argument("--runs", type=int, default=5, help="pictures timed per round [default: 5]")
    parser.add_argument("--threads", type=int, default=2, help="[default: 2]")
    parser.add_argument("--worker", choices=["prepare", *PEERS], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.worker and not args.labels and not args.noise:
        parser.error("give --labels or --noise")
    return args


# Networks in PyTorch, in evaluation mode. A state is a dict of tensors by the names of the checkpoint, as `fold`
# returns it.


def fold(state):
    """Divides by spectral norms, as PyTorch does at evaluation, and stacks SEAN's matrices for styles."""
    import torch

    folded = {}
    for name, value in state.items():
        if name.endswith(".weight_orig"):
            stem = name[: -len(".weight_orig")]
            norm = torch.dot(state[stem + ".weight_u"], value.reshape(value.shape[0], -1) @ state[stem + ".weight_v"])
            folded[stem + ".weight"] = value / norm
        elif not re.search(r"weight_[uv]$|num_batches_tracked$|^Zencoder|fc_mu\d", name):
            folded[name] = value
    for name in state:
        if name.endswith(".fc_mu0.weight"):
            stem = name[: -len("0.weight")]
            rows = sum(1 for other in state if other.startswith(stem)) // 2
            folded[stem + ".weight"] = torch.stack([state[f"{stem}{row}.weight"] for row in range(rows)])
            folded[stem + ".bias"] = torch.stack([state[f"{stem}{row}.bias"] for row in range(rows)])
    return folded


def generator(arch, state):
    """A module that maps one-hot `[1, classes, 256, 256]` (CLADE: ids `[256, 256]`) and, for SEAN, styles
    `[classes, 512]` to a picture in -1 to 1."""
    import torch
    import torch.nn.functional as F

    def convolve(name, x):
        weight = state[name + ".weight"]
        return F.conv2d(x, weight, state.get(name + ".bias"), padding=int(weight.shape[-1]) // 2)

    def normalize(name, x):
        return F.batch_norm(x, state[name + ".running_mean"], state[name + ".running_var"], eps=1e-5)

    def modulation(name, labels):
        hidden = F.relu(convolve(name + ".mlp_shared.0", labels))
        return convolve(name + ".mlp_gamma", hidden), convolve(name + ".mlp_beta", hidden)

    def spade(name, x, labels, style):
        gamma, beta = modulation(name, labels)
        return normalize(name + ".param_free_norm", x) * (1 + gamma) + beta

    def clade(name, x, labels, style):
        def of_class(part):
            return state[f"{name}.class_specified_affine.{part}"][labels].permute(2, 0, 1)[None]

        return normalize(name + ".param_free_norm", x) * of_class("weight") + of_class("bias")

    def sean(name, x, labels, style):
        gamma, beta = modulation(name + ".Spade", labels)
        if name + ".conv_gamma.weight" in state:
            mapped = torch.matmul(state[name + ".fc_mu.weight"], style[:, :, None])[:, :, 0]
            mapped = mapped + state[name + ".fc_mu.bias"]
            count, height, width = (int(length) for length in labels.shape[1:])
            spread = torch.matmul(F.relu(mapped).t(), labels.reshape(count, height * width))
            spread = spread.reshape(1, STYLE, height, width)

            def blend(part, other):
                share = torch.sigmoid(state[f"{name}.blending_{part}"])
                return share * convolve(f"{name}.conv_{part}", spread) + (1 - share) * other

            gamma, beta = blend("gamma", gamma), blend("beta", beta)
        return normalize(name + ".param_free_norm", x) * (1 + gamma) + beta

    norm, part = {"spade": (spade, "norm"), "clade": (clade, "norm"), "sean": (sean, "ace")}[arch]

    def block(name, x, labels, style):
        def half(index, x):
            active = F.leaky_relu(norm(f"{name}.{part}_{index}", x, labels, style), 0.2)
            return convolve(f"{name}.conv_{index}", active)

        short = x
        if f"{name}.conv_s.weight" in state:
            short = convolve(f"{name}.conv_s", norm(f"{name}.{part}_s", x, labels, style))
        return short + half(1, half(0, x))

    class Generator(torch.nn.Module):
        def forward(self, labels, style=None):
            # Nearest-neighbour resizing by whole steps takes every n-th pixel.
            at = {side: labels[..., :: SIZE // side, :: SIZE // side] for side in (8, 16, 32, 64, 128, 256)}
            start = at[8]
            if arch == "clade":
                start = F.one_hot(start, int(state["fc.weight"].shape[1])).permute(2, 0, 1)[None].float()
            x = block("head_0", convolve("fc", start), at[8], style)
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block("G_middle_1", block("G_middle_0", x, at[16], style), at[16], style)
            for index, side in enumerate((32, 64, 128, 256)):
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
                x = block(f"up_{index}", x, at[side], style)
            return torch.tanh(convolve("conv_img", F.leaky_relu(x, 0.2)))

    return Generator().eval()


# Workers: each runs in a separate process.


def prepare(files, arch, classes):
    """Writes the checkpoint, its folded state and the ONNX file."""
    import numpy
    import torch

    if not files.checkpoint.exists():
        script = pathlib.Path(__file__).with_name("checkpoint.py")
        run(sys.executable, script, arch, files.checkpoint, "--labels", classes)
    state = fold(torch.load(files.checkpoint))
    torch.save(state, files.folded)
    labels, style = torch.zeros(1, classes, SIZE, SIZE), torch.randn(classes, STYLE)
    if arch == "clade":
        labels = torch.zeros(SIZE, SIZE, dtype=torch.int64)
    inputs = {"labels": labels, "style": style} if arch == "sean" else {"labels": labels}
    if arch == "sean":
        write_style(files.style, numpy.random.default_rng(1).standard_normal((classes, STYLE)).astype("<f4"))
    with torch.no_grad():
        network = generator(arch, state)
        torch.onnx.export(network, tuple(inputs.values()), str(files.onnx), opset_version=16, input_names=list(inputs))


def write_style(path, values):
    """Writes a style file of semsynth in which every class has its row of `values`."""
    rows, length = values.shape
    end = values.nbytes
    header = json.dumps({
        "__metadata__": {"semsynth-style": "(format: 1, kind: Regions)"},
        "style": {"dtype": "F32", "shape": [rows, length], "data_offsets": [0, end]},
        "present": {"dtype": "U8", "shape": [rows], "data_offsets": [end, end + rows]},
    }).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(struct.pack("<Q", len(header)) + header + values.tobytes() + b"\1" * rows)


def read_style(path, classes):
    import numpy

    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    return numpy.frombuffer(data, "<f4", classes * STYLE, start).reshape(classes, STYLE).copy()


def paint_onnxruntime(files, arch, classes, threads):
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(files.onnx), options, providers=["CPUExecutionProvider"])
    inputs = {"style": read_style(files.style, classes)} if arch == "sean" else {}
    one_hot = numpy.empty((1, classes, SIZE, SIZE), numpy.float32)

    def paint(ids):
        if arch == "clade":
            inputs["labels"] = ids.astype(numpy.int64)
        else:
            one_hot.fill(0)
            numpy.put_along_axis(one_hot, ids.astype(numpy.int64)[None, None], 1, 1)
            inputs["labels"] = one_hot
        picture = session.run(None, inputs)[0][0]
        return ((picture + 1) * 127.5).clip(0, 255).astype(numpy.uint8).transpose(1, 2, 0).tobytes()

    return paint


def paint_torch(files, arch, classes, threads):
    import torch

    # Tried on clade-ade20k, PyTorch 1.13, 2 cores with AVX-512, seconds, least of several runs: eager 0.92; traced
    # and frozen 0.65 (but 1.8 GB, not 0.9); with optimize_for_inference as well 0.72; channels last 0.77, frozen
    # 0.79. Looking up columns instead of rows: eager 0.64 (0.83 in most runs), frozen 0.66; ONNX Runtime 0.73, not
    # 0.49.
    torch.set_num_threads(threads)
    network = generator(arch, torch.load(files.folded))
    style = (torch.from_numpy(read_style(files.style, classes)),) if arch == "sean" else ()
    one_hot = torch.empty(1, classes, SIZE, SIZE)
    with torch.no_grad():
        example = torch.zeros(SIZE, SIZE, dtype=torch.int64) if arch == "clade" else one_hot.zero_()
        network = torch.jit.freeze(torch.jit.trace(network, (example, *style)))
        # A frozen network is compiled in its first runs.
        for _ in range(2):
            network(example, *style)

    def paint(ids):
        labels = torch.from_numpy(ids).long()
        if arch != "clade":
            labels = one_hot.zero_().scatter_(1, labels[None, None], 1.0)
        with torch.inference_mode():
            picture = network(labels, *style)[0]
            picture = ((picture + 1) * 127.5).clamp(0, 255).to(torch.uint8)
            return picture.permute(1, 2, 0).contiguous().numpy().tobytes()

    return paint


def work(args, files, arch, classes):
    """Measures pictures, writes the first one and prints the times and peak memory as JSON."""
    import numpy

    paint = {"onnxruntime": paint_onnxruntime, "torch": paint_torch}[args.worker](files, arch, classes, args.threads)
    ids = [numpy.frombuffer(read_png(path)[2], numpy.uint8) for path in sorted(files.maps.iterdir())]
    maps = [flat.reshape(SIZE, SIZE).copy() for flat in ids]
    files.picture(args.worker).write_bytes(paint(maps[0]))
    seconds = []
    for index in range(1, args.runs + 1):
        started = time.perf_counter()
        paint(maps[index % len(maps)])
        seconds.append(time.perf_counter() - started)
    peak = re.search(r"VmHWM:\s*(\d+) kB", pathlib.Path("/proc/self/status").read_text())
    print(json.dumps({"seconds": seconds, "memory": int(peak[1]) * 1024 / 1e9}))


# The driver: uses only the standard library.


class Files:
    """The paths of the files of a network."""

    def __init__(self, folder, net):
        self.checkpoint = folder / f"{net}.pth"
        self.folded = folder / f"{net}.folded.pth"
        self.onnx = folder / f"{net}.onnx"
        self.style = folder / f"{net}.style.safetensors"
        self.classes = folder / f"{net}.gpl"
        self.model = folder / f"{net}.safetensors"
        self.maps = folder / f"{net}.maps"
        self.picture = lambda system: folder / f"{net}.{system}.{'png' if system == 'semsynth' else 'rgb'}"


def run(*command):
    """Runs a program to its end and returns what it printed."""
    done = subprocess.run([str(part) for part in command], check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {' '.join(str(part) for part in command)}\n{done.stdout}")
    return done.stdout


def interpreter(module):
    """A Python interpreter that has the module, and the version of the module."""
    for python in (sys.executable, "python3", "/usr/bin/python3"):
        code = f"import numpy, {module}; print({module}.__version__)"
        found = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True)
        if found.returncode == 0:
            return python, found.stdout.strip()
    sys.exit(f"no python3 here has {module} and numpy: see the head of {__file__}")


def read_png(path):
    """Width, height and samples, one byte each, of a PNG without interlacing: grey or palette ids, or RGB."""
    data = path.read_bytes()
    packed, at = b"", 8
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        at += length + 12
    channels = {0: 1, 2: 3, 3: 1}.get(color)
    if channels is None or depth > 8 or interlaced:
        sys.exit(f"{path}: expected a PNG of up to 8 bits, grey, palette or RGB, not interlaced")
    raw, stride = zlib.decompress(packed), (width * channels * depth + 7) // 8
    samples, above = bytearray(), bytearray(stride)
    for y in range(height):
        start = y * (stride + 1)
        method, row = raw[start], bytearray(raw[start + 1 : start + 1 + stride])
        for i in range(stride if method else 0):
            left, up, corner = (row[i - channels], above[i], above[i - channels]) if i >= channels else (0, above[i], 0)
            row[i] = (row[i] + predict(method, left, up, corner)) & 255
        above = row
        bits = "".join(f"{byte:08b}" for byte in row) if depth < 8 else ""
        samples += bytes(int(bits[i * depth : (i + 1) * depth], 2) for i in range(width)) if depth < 8 else row
    return width, height, bytes(samples)


def predict(method, left, up, corner):
    """The five filters of PNG."""
    if method == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda value: abs(guess - value))
    return (0, left, up, (left + up) // 2)[method]


def write_png(path, ids):
    """A grey PNG of SIZE x SIZE."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + ids[y * SIZE : (y + 1) * SIZE] for y in range(SIZE))
    head = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def stage_maps(args, files, classes):
    """Writes the label maps of this run to the folder that all systems read."""
    files.maps.mkdir(exist_ok=True)
    for old in files.maps.iterdir():
        old.unlink()
    if args.noise:
        rng = random.Random(1)
        maps = [bytes(rng.randrange(classes) for _ in range(SIZE * SIZE)) for _ in range(args.maps)]
    else:
        maps = []
        for path in sorted(args.labels.glob("*.png"))[: args.maps]:
            width, height, ids = read_png(path)
            if len(ids) != width * height:
                sys.exit(f"{path}: expected ids, this is a picture in colours")
            # Crop the middle, resized to the nearest pixel. Ids beyond the network's classes wrap around to 0, so
            # that shapes stay realistic.
            side = min(width, height)
            left, top = (width - side) // 2, (height - side) // 2
            rows = (top + y * side // SIZE for y in range(SIZE))
            picked = [ids[row * width + left + x * side // SIZE] % classes for row in rows for x in range(SIZE)]
            ids = bytes(picked)
            maps.append(ids)
    if not maps:
        sys.exit(f"{args.labels}: no .png in this folder")
    for index, ids in enumerate(maps):
        write_png(files.maps / f"{index:03}.png", ids)


def bench(args, files, net, system, python):
    """One round of one system: seconds of its pictures (median, least and most for semsynth), peak memory in GB."""
    if system != "semsynth":
        options = ["--work", args.work, "--net", net, "--runs", args.runs, "--threads", args.threads]
        return json.loads(run(python, __file__, "--worker", system, *options))
    options = ["--device", "cpu", "--runs", args.runs, "--threads", args.threads]
    text = run(args.semsynth, "bench", "--model", files.model, "--labels", files.maps, *options)
    found = re.search(r"picture +([\d.]+) s \(median of \d+; ([\d.]+) to ([\d.]+)\)", text)
    memory = re.search(r"memory +([\d.]+) GB", text)
    # Least, median and largest: the median of the three is the median that semsynth prints.
    return {"seconds": [float(value) for value in found.groups()], "memory": float(memory[1])}


def difference(args, files, arch):
    """Largest difference (of 255) between any two systems' pictures of the first map; share of bytes not 0 or 255."""
    picture = files.picture("semsynth")
    options = ["--labels", min(files.maps.iterdir()), "--output", picture, "--device", "cpu"]
    if arch == "sean":
        options += ["--style", files.style, "--no-noise"]
    run(args.semsynth, "synth", "--model", files.model, *options)
    pictures = [read_png(picture)[2], *(files.picture(peer).read_bytes() for peer in PEERS)]
    spread = max(max(values) - min(values) for values in zip(*pictures))
    return spread, sum(0 < value < 255 for value in pictures[0]) / len(pictures[0])


def compare(args, net, pythons):
    """Makes missing files, runs the systems in turn, prints the rows of a network; returns whether pictures agree."""
    arch, classes = NETS[net]
    files = Files(args.work, net)
    if not files.onnx.exists():
        run(pythons["torch"], __file__, "--worker", "prepare", "--work", args.work, "--net", net)
    if not files.model.exists():
        lines = [f"{label} 0 0\t{label} class {label}" for label in range(classes)]
        files.classes.write_text("\n".join(["GIMP Palette", *lines, ""]))
        run(args.semsynth, "import", files.checkpoint, "--classes", files.classes, "--output", files.model)
    stage_maps(args, files, classes)
    rounds = collections.defaultdict(list)
    for _ in range(args.rounds):
        for system in (*PEERS, "semsynth"):
            rounds[system].append(bench(args, files, net, system, pythons.get(system)))
    middle = {
        system: statistics.median(statistics.median(r["seconds"]) for r in found) for system, found in rounds.items()
    }
    spread, shades = difference(args, files, arch)
    cells = [net]
    for system in ("semsynth", *PEERS):
        seconds = [second for r in rounds[system] for second in r["seconds"]]
        memory = max(r["memory"] for r in rounds[system])
        cells.append(f"{middle[system]:.3f} s ({min(seconds):.3f} to {max(seconds):.3f}), {memory:.2f} GB")
    cells += [f"{middle['semsynth'] / middle[peer]:.2f}" for peer in PEERS]
    cells.append(f"{spread}/255 ({shades:.0%} shades)")
    print("| " + " | ".join(cells) + " |", flush=True)
    return spread <= TOLERANCE


def main():
    args = parse()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.worker:
        # Tracing warns that sizes become constants, which is intended.
        warnings.simplefilter("ignore")
        net = args.net[0]
        arch, classes = NETS[net]
        files = Files(args.work, net)
        return prepare(files, arch, classes) if args.worker == "prepare" else work(args, files, arch, classes)
    found = {module: interpreter(module) for module in PEERS}
    maps = f"{args.maps} maps of noise" if args.noise else f"the first {args.maps} maps of {args.labels}"
    rounds = f"{args.rounds} rounds of {args.runs} pictures"
    print(f"{maps}; {args.threads} threads, {rounds}; load {os.getloadavg()[0]:.1f}\n")
    heads = ["semsynth", *(f"{module} {version}" for module, (_, version) in found.items())]
    heads = ["network", *heads, *(f"semsynth : {module}" for module in PEERS), "pictures differ by"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|", flush=True)
    pythons = {module: python for module, (python, _) in found.items()}
    agree = [compare(args, net, pythons) for net in args.net or NETS]
    if not all(agree):
        sys.exit(f"pictures differ by more than {TOLERANCE}/255")


if __name__ == "__main__":
    main()
