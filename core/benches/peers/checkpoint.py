"""Writes a checkpoint with random weights, in the format and with the names of the papers' code, using PyTorch.

    python3 checkpoint.py spade|clade|clade-icpe|sean OUT.pth [--labels N] [--ngf 64] [--edges] [--legacy]

For benchmarks of import and synthesis at full size without trained weights. Debian: apt-get install python3-torch.
Names and shapes are facts of the published networks; this code is our own.
"""

import argparse
import math
from collections import OrderedDict

import torch
import torch.nn.functional as F

STYLE = 512


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("arch", choices=["spade", "clade", "clade-icpe", "sean"])
    parser.add_argument("out")
    parser.add_argument("--labels", type=int)
    parser.add_argument("--ngf", type=int, default=64)
    parser.add_argument("--edges", action="store_true")
    parser.add_argument("--legacy", action="store_true", help="the format of PyTorch before 1.6")
    return parser.parse_args()


class Writer:
    def __init__(self, seed):
        self.state = OrderedDict()
        self.random = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.random)

    def linear(self, name, out, inputs):
        self.state[name + ".weight"] = self.normal(out, inputs) / math.sqrt(inputs)
        self.state[name + ".bias"] = self.normal(out) * 0.1

    def conv(self, name, out, inputs, kernel, bias=True, spectral=False):
        weight = self.normal(out, inputs, kernel, kernel) / math.sqrt(inputs * kernel * kernel)
        if bias:
            self.state[name + ".bias"] = self.normal(out) * 0.1
        if not spectral:
            self.state[name + ".weight"] = weight
            return
        matrix = weight.reshape(out, -1)
        u = F.normalize(self.normal(out), dim=0)
        for _ in range(2):
            v = F.normalize(matrix.t() @ u, dim=0)
            u = F.normalize(matrix @ v, dim=0)
        self.state.update({name + ".weight_orig": weight, name + ".weight_u": u, name + ".weight_v": v})

    def batch_norm(self, name, channels):
        self.state[name + ".running_mean"] = self.normal(channels) * 0.2
        self.state[name + ".running_var"] = torch.rand(channels, generator=self.random) + 0.5
        self.state[name + ".num_batches_tracked"] = torch.tensor(7)

    def spade(self, name, channels, semantics):
        self.conv(name + ".mlp_shared.0", 128, semantics, 3)
        self.conv(name + ".mlp_gamma", channels, 128, 3)
        self.conv(name + ".mlp_beta", channels, 128, 3)


def norm(w, name, channels, args, styled):
    if args.arch == "sean":
        for part in ("blending_gamma", "blending_beta"):
            w.state[f"{name}.{part}"] = w.normal(1)
        w.state[f"{name}.noise_var"] = w.normal(channels) * 0.1
        w.batch_norm(f"{name}.Spade.param_free_norm", channels)
        w.spade(f"{name}.Spade", channels, args.labels)
        w.batch_norm(f"{name}.param_free_norm", channels)
        if styled:
            for label in range(args.labels):
                w.linear(f"{name}.fc_mu{label}", STYLE, STYLE)
            w.conv(f"{name}.conv_gamma", channels, STYLE, 3)
            w.conv(f"{name}.conv_beta", channels, STYLE, 3)
        return
    w.batch_norm(f"{name}.param_free_norm", channels)
    if args.arch == "spade":
        w.spade(name, channels, args.labels + args.edges)
        return
    bank = f"{name}.class_specified_affine"
    w.state[f"{bank}.weight"] = torch.rand(args.labels, channels, generator=w.random)
    w.state[f"{bank}.bias"] = w.normal(args.labels, channels) * 0.3
    if args.arch == "clade-icpe":
        w.conv(f"{bank}.dist_conv_w", 1, 2, 1)
        w.conv(f"{bank}.dist_conv_b", 1, 2, 1)
    if args.edges:
        w.conv(f"{name}.inst_conv", 1, 1, 1)


def block(w, name, inputs, out, args, styled):
    middle = min(inputs, out)
    extra = 1 if args.edges and args.arch.startswith("clade") else 0
    learned = inputs != out
    w.conv(f"{name}.conv_0", middle, inputs + extra, 3, spectral=True)
    w.conv(f"{name}.conv_1", out, middle + extra, 3, spectral=True)
    if learned:
        w.conv(f"{name}.conv_s", out, inputs + extra, 1, bias=False, spectral=True)
    prefix = "ace" if args.arch == "sean" else "norm"
    for part, channels in [("0", inputs), ("1", middle)] + ([("s", inputs)] if learned else []):
        norm(w, f"{name}.{prefix}_{part}", channels, args, styled)


def main():
    args = parse()
    args.labels = args.labels or {"spade": 151, "clade": 151, "clade-icpe": 151, "sean": 19}[args.arch]
    w, n = Writer(1), args.ngf
    if args.arch == "sean":
        w.conv("Zencoder.model.1", 32, 3, 3)
        w.conv("Zencoder.model.4", 64, 32, 3)
        w.conv("Zencoder.model.7", 128, 64, 3)
        w.state["Zencoder.model.10.weight"] = w.normal(128, 256, 3, 3) / 24
        w.state["Zencoder.model.10.bias"] = w.normal(256) * 0.1
        w.conv("Zencoder.model.14", STYLE, 256, 3)
    w.conv("fc", 16 * n, args.labels + args.edges, 3)
    for name in ("head_0", "G_middle_0", "G_middle_1"):
        block(w, name, 16 * n, 16 * n, args, True)
    for index, width in enumerate((16, 8, 4, 2)):
        block(w, f"up_{index}", width * n, width * n // 2, args, index < 3)
    w.conv("conv_img", 3, n, 3)
    torch.save(w.state, args.out, _use_new_zipfile_serialization=not args.legacy)


if __name__ == "__main__":
    main()
