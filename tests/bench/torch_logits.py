#!/usr/bin/env python3
"""Logits of lenet and resnet20 (shortcut A and B) by PyTorch, as a C header on standard output.

    python3 tests/bench/torch_logits.py > tests/nn/models/torch_logits.h

Weights, running statistics and images are a hash of (parameter name, element), so both sides
compute the same ones and only logits are stored. tests/nn/models/test_logits.c does the same in
C. Needs PyTorch (pip install torch numpy, or Debian's python3-torch); evaluation mode, f64.
"""
import math
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def numbers(seed, count):
    """In [-1,1), exact in f32: tests/nn/support.c, probe_number."""
    m = 0xFFFFFFFF
    i = np.arange(count, dtype=np.uint64)
    h = np.uint64(seed * 2654435761 & m) ^ (i * np.uint64(2246822519) & np.uint64(m))
    h ^= h >> np.uint64(15)
    h = h * np.uint64(2246822507) & np.uint64(m)
    h ^= h >> np.uint64(13)
    h = h * np.uint64(3266489909) & np.uint64(m)
    h ^= h >> np.uint64(16)
    return (h >> np.uint64(8)).astype(np.float64) * 2.0**-23 - 1


def fnv(name):
    h = 2166136261
    for c in name.encode():
        h = (h ^ c) * 16777619 & 0xFFFFFFFF
    return h


def values(name, shape, norm):
    v = numbers(fnv(name), math.prod(shape))
    if len(shape) > 1:
        v = v * (2 / math.sqrt(math.prod(shape[1:])))
    elif name.endswith("running_var"):
        v = 1 + 0.5 * v
    elif name.endswith("weight") and norm:
        v = 1 + 0.25 * v
    else:
        v = 0.125 * v
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


class LeNet(nn.Module):
    """Deep Defense's: no activation behind the convolutions."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.fc1, self.fc2 = nn.Linear(800, 500), nn.Linear(500, 10)

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x), 2)
        x = F.max_pool2d(self.conv2(x), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Subsample(nn.Module):
    """Option A: every second place, new channels zero."""

    def forward(self, x):
        x = x[:, :, ::2, ::2]
        return torch.cat((x, torch.zeros_like(x)), 1)


class Block(nn.Module):
    def __init__(self, before, channels, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = nn.Identity()
        if stride != 1 and shortcut == "A":
            self.downsample = Subsample()
        elif stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet20(nn.Module):
    def __init__(self, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        before = 16
        for stage, channels in enumerate((16, 32, 64)):
            blocks = []
            for block in range(3):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(Block(before, channels, stride, shortcut))
                before = channels
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def logits(model, size, channels):
    state = model.state_dict()
    for name, v in state.items():
        if v.is_floating_point():
            state[name] = values(name, tuple(v.shape), "bn" in name or "downsample.1" in name)
    model.load_state_dict(state)
    x = numbers(7, 2 * size * size * channels) * 0.5 + 0.5
    x = torch.from_numpy(x.astype(np.float32).reshape(2, size, size, channels)).double()
    with torch.no_grad():
        return model.double().eval()(x.permute(0, 3, 1, 2))


def main():
    print("#ifndef TDO_TESTS_TORCH_LOGITS_H\n#define TDO_TESTS_TORCH_LOGITS_H")
    print(f"/* Made by tests/bench/torch_logits.py with PyTorch {torch.__version__}. */")
    for name, model, size, channels in (("lenet", LeNet(), 28, 1),
                                        ("resnet20_a", ResNet20("A"), 32, 3),
                                        ("resnet20_b", ResNet20("B"), 32, 3)):
        print(f"static const double torch_{name}[2][10] = {{")
        for row in logits(model, size, channels):
            print("    {" + ",\n     ".join(f"{v:.12g}" for v in row.tolist()) + "},")
        print("};")
    print("#endif")
    return 0


if __name__ == "__main__":
    sys.exit(main())
