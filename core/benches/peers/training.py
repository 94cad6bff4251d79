"""Benchmarks training steps of SPADE and CLADE in PyTorch, on the CPU.

    python3 training.py [--arch clade] [--ngf 32] [--size 128] [--batch 4] [--classes 12] [--threads 2] [--steps 9]

For comparison with `semsynth train`. A step does the same as there with `fresh_fakes` and without VGG19 and averaging:
a step of the generator, with hinge loss and feature matching (weight 10), then one of the discriminator, on newly
synthesized pictures, each with its own Adam (betas 0 and 0.9, rates 1e-4 and 4e-4). Both networks have spectral norm,
by PyTorch's own hook; the discriminator has two scales and ndf 64, and takes synthesized and real pictures in one
batch, as in the papers' code.
Pictures are random, label maps are blocks of random classes; both are made before the measurement. The figure is the
median of `--steps` steps after two to warm up.

Needs PyTorch (Debian: apt-get install python3-torch). Written from the papers.
"""

import argparse
import pathlib
import re
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import spectral_norm

FEATURE_MATCHING = 10.0
SCALES = 2
WARM_UP = 2


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", choices=["clade", "spade"], default="clade", help="[default: clade]")
    parser.add_argument("--ngf", type=int, default=32, help="width of the generator [default: 32]")
    parser.add_argument("--ndf", type=int, default=64, help="width of the discriminator [default: 64]")
    parser.add_argument("--size", type=int, default=128, help="side of the pictures, a multiple of 32 [default: 128]")
    parser.add_argument("--batch", type=int, default=4, help="pictures a step [default: 4]")
    parser.add_argument("--classes", type=int, default=12, help="label channels [default: 12, those of CMP facades]")
    parser.add_argument("--threads", type=int, default=2, help="[default: 2]")
    parser.add_argument("--steps", type=int, default=9, help="steps to time [default: 9]")
    args = parser.parse_args()
    numbers = (args.size, args.ngf, args.ndf, args.batch, args.classes, args.threads, args.steps)
    if args.size % 32 != 0 or min(numbers) < 1:
        parser.error("--size must be a multiple of 32, and all numbers 1 or more")
    return args


class Spade(nn.Module):
    """Park et al. 2019, section 3."""

    def __init__(self, channels, classes):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.hidden = nn.Conv2d(classes, 128, 3, padding=1)
        self.gamma = nn.Conv2d(128, channels, 3, padding=1)
        self.beta = nn.Conv2d(128, channels, 3, padding=1)

    def forward(self, x, labels):
        hidden = F.relu(self.hidden(labels))
        return self.norm(x) * (1 + self.gamma(hidden)) + self.beta(hidden)


class Clade(nn.Module):
    """Tan et al. 2021, section 3."""

    def __init__(self, channels, classes):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gamma = nn.Parameter(torch.rand(classes, channels))
        self.beta = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x, labels):
        gamma, beta = (F.embedding(labels, bank).permute(0, 3, 1, 2) for bank in (self.gamma, self.beta))
        return self.norm(x) * gamma + beta


class Block(nn.Module):
    def __init__(self, inputs, outputs, modulation):
        super().__init__()
        middle = min(inputs, outputs)
        self.norm_0, self.norm_1 = modulation(inputs), modulation(middle)
        self.conv_0 = spectral_norm(nn.Conv2d(inputs, middle, 3, padding=1))
        self.conv_1 = spectral_norm(nn.Conv2d(middle, outputs, 3, padding=1))
        self.learned = inputs != outputs
        if self.learned:
            self.norm_s = modulation(inputs)
            self.conv_s = spectral_norm(nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x, labels):
        short = self.conv_s(self.norm_s(x, labels)) if self.learned else x
        x = self.conv_0(F.leaky_relu(self.norm_0(x, labels), 0.2))
        return short + self.conv_1(F.leaky_relu(self.norm_1(x, labels), 0.2))


class Generator(nn.Module):
    """One-hot labels `[batch, classes, size, size]` to pictures `[batch, 3, size, size]` in -1 to 1."""

    def __init__(self, arch, ngf, classes):
        super().__init__()
        self.by_id = arch == "clade"
        kind = {"spade": Spade, "clade": Clade}[arch]
        widths = [ngf * factor for factor in (16, 16, 16, 16, 8, 4, 2, 1)]
        blocks = [Block(*pair, lambda channels: kind(channels, classes)) for pair in zip(widths, widths[1:])]
        self.first = nn.Conv2d(classes, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Conv2d(ngf, 3, 3, padding=1)

    def forward(self, one_hot):
        labels = one_hot.argmax(1) if self.by_id else one_hot
        x = self.first(one_hot[:, :, ::32, ::32])
        # For each block, how much larger the labels are than its features. Nearest-neighbour resizing by whole steps
        # takes every n-th pixel.
        for block, step in zip(self.blocks, (32, 16, 16, 8, 4, 2, 1)):
            if x.shape[-1] * step != one_hot.shape[-1]:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(x, labels[..., ::step, ::step])
        return torch.tanh(self.last(F.leaky_relu(x, 0.2)))


class Patches(nn.Module):
    """One scale of the discriminator."""

    def __init__(self, inputs, ndf):
        super().__init__()
        layers = [nn.Sequential(nn.Conv2d(inputs, ndf, 4, stride=2, padding=2), nn.LeakyReLU(0.2))]
        for inner, outer, stride in ((ndf, 2 * ndf, 2), (2 * ndf, 4 * ndf, 2), (4 * ndf, 8 * ndf, 1)):
            conv = spectral_norm(nn.Conv2d(min(inner, 512), min(outer, 512), 4, stride, padding=2, bias=False))
            layers.append(nn.Sequential(conv, nn.InstanceNorm2d(min(outer, 512)), nn.LeakyReLU(0.2)))
        layers.append(nn.Conv2d(min(8 * ndf, 512), 1, 4, padding=2))
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


class Discriminator(nn.Module):
    """Wang et al. 2018, section 3.2: for each scale the outputs of all layers, with the scores last."""

    def __init__(self, inputs, ndf):
        super().__init__()
        self.scales = nn.ModuleList(Patches(inputs, ndf) for _ in range(SCALES))

    def forward(self, x):
        found = []
        for scale in self.scales:
            found.append(scale(x))
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return found


class Trainer:
    def __init__(self, args):
        # Tried for CLADE, PyTorch 1.13, 2 cores with AVX-512, seconds, least of several runs: channels last 1.25;
        # default layout 1.57, or 1.35 with the tables as 1x1 convolutions of one-hot maps, with which channels last
        # takes 1.39. Two batches for the discriminator gain nothing; computing its gradients in the generator's step,
        # as in the papers' code, costs 0.1; OpenBLAS in place of Debian's libblas gains nothing.
        self.generator = Generator(args.arch, args.ngf, args.classes).to(memory_format=torch.channels_last)
        discriminator = Discriminator(args.classes + 3, args.ndf)
        self.discriminator = discriminator.to(memory_format=torch.channels_last)
        self.adam_g = torch.optim.Adam(self.generator.parameters(), lr=1e-4, betas=(0.0, 0.9))
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), lr=4e-4, betas=(0.0, 0.9))

    def judge(self, one_hot, fake, real):
        """The discriminator's outputs for synthesized and for real pictures: for each scale those of all layers."""
        both = torch.cat([torch.cat([one_hot, fake], 1), torch.cat([one_hot, real], 1)])
        halves = [[features.chunk(2) for features in scale] for scale in self.discriminator(both)]
        return ([[pair[half] for pair in scale] for scale in halves] for half in (0, 1))

    def step(self, one_hot, real):
        """One step of the generator, then one of the discriminator; returns their losses."""
        # The discriminator's gradients are not needed here, although the papers' code computes them.
        self.discriminator.requires_grad_(False)
        fakes, reals = self.judge(one_hot, self.generator(one_hot), real)
        loss_g = sum(-scale[-1].mean() for scale in fakes) / SCALES
        for fake_scale, real_scale in zip(fakes, reals):
            for found, wanted in zip(fake_scale[:-1], real_scale[:-1]):
                loss_g = loss_g + F.l1_loss(found, wanted.detach()) * (FEATURE_MATCHING / SCALES)
        self.adam_g.zero_grad(set_to_none=True)
        loss_g.backward()
        self.adam_g.step()

        self.discriminator.requires_grad_(True)
        with torch.no_grad():
            fresh = self.generator(one_hot)
        fakes, reals = self.judge(one_hot, fresh, real)
        loss_d = sum(F.relu(1 + scale[-1]).mean() for scale in fakes) / SCALES
        loss_d = loss_d + sum(F.relu(1 - scale[-1]).mean() for scale in reals) / SCALES
        self.adam_d.zero_grad(set_to_none=True)
        loss_d.backward()
        self.adam_d.step()
        return loss_g.item(), loss_d.item()


def batch(args):
    """One-hot label maps of 16-pixel blocks, and pictures of noise."""
    blocks = torch.randint(args.classes, (args.batch, args.size // 16, args.size // 16))
    labels = blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)
    pictures = torch.rand(args.batch, args.size, args.size, 3) * 2 - 1
    # Channels last in memory.
    return F.one_hot(labels, args.classes).float().permute(0, 3, 1, 2), pictures.permute(0, 3, 1, 2)


def main():
    args = parse()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    trainer = Trainer(args)
    seconds = []
    for _ in range(WARM_UP + args.steps):
        one_hot, real = batch(args)
        started = time.perf_counter()
        losses = trainer.step(one_hot, real)
        seconds.append(time.perf_counter() - started)
        if not all(abs(loss) < 1e4 for loss in losses):
            raise SystemExit(f"the losses are {losses}: this is no training")
    seconds = seconds[WARM_UP:]
    peak = re.search(r"VmHWM:\s*(\d+) kB", pathlib.Path("/proc/self/status").read_text())
    spread = f"median of {len(seconds)}; {min(seconds):.3f} to {max(seconds):.3f}"
    print(f"training step: {statistics.median(seconds):.3f} s ({spread}), memory {int(peak[1]) * 1024 / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
