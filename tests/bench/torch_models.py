#!/usr/bin/env python3
"""lenet, zcnn and resnet20 (shortcut A and B) in PyTorch, beside testudo's.

    python3 tests/bench/torch_models.py golden > tests/nn/models/torch_logits.h
    python3 tests/bench/torch_models.py fixture tests/jobs
    python3 tests/bench/torch_models.py check [build/release]

golden: logits for tests/nn/models/test_logits.c, evaluation mode, f64. Weights, running
statistics and images are a hash of (parameter name, element), so both sides compute the same
ones and only logits are stored.
fixture: a narrow resnet20 saved by PyTorch, torch_resnet20.safetensors, and its logits as
torch_resnet20.h, for tests/jobs/test_network.c.
check: model files in both directions. PyTorch's files are read by testudo and the other way
round, strictly; logits must agree within 1e-4. Needs the program, and the tool `logits`:
cmake --build --preset release --target testudo logits.
from_file() gives the network of a model file of testudo's, input layer included.

Needs PyTorch and safetensors (pip install torch numpy safetensors).
"""
import json
import math
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from torch import nn
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_file
from torch.nn import functional as F

TOLERANCE = 1e-4


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


class ZCnn(nn.Module):
    """The bounded-ReLU paper's, 28x28; "same" padding of its first layer is 3 on each side. With
    t, activations are cut off there."""

    def __init__(self, t=None):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 8, 2, 3)
        self.conv2 = nn.Conv2d(64, 128, 6, 2)
        self.conv3 = nn.Conv2d(128, 128, 5)
        self.fc1, self.t = nn.Linear(128, 10), t

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.relu(conv(x))
            x = x if self.t is None else x.clamp(max=self.t)
        return self.fc1(x.flatten(1))


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


class ResNet(nn.Module):
    """The cifar_resnet of locuslab/smoothing, by its names; channels 16, 32, 64 times width; 6
    blocks + 2 layers: 3 blocks a stage are resnet20, 18 are resnet110."""

    def __init__(self, shortcut="B", width=1, colours=3, blocks=3):
        super().__init__()
        before = round(16 * width)
        self.conv1 = nn.Conv2d(colours, before, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        for stage, channels in enumerate((before, 2 * before, 4 * before)):
            layer = []
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layer.append(Block(before, channels, stride, shortcut))
                before = channels
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(before, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class Pixels(nn.Module):
    """The input layer, (x - mean) / std, in front of a network: takes pixels in [0,1]."""

    def __init__(self, net, mean, std):
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean or [0.0]).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std or [1.0]).view(-1, 1, 1))

    def forward(self, x):
        return self.net((x - self.mean) / self.std)


def from_file(path):
    """Name and network, in evaluation mode and with no gradients of weights, of a model file that
    testudo wrote: lenet, zcnn or a residual network, without defenses but brelu (zcnn)."""
    with safe_open(path, "pt") as f:
        about = json.loads(f.metadata()["testudo"])
    model, bounds = about["model"], [d for d in about["defense"] if d["name"] == "brelu"]
    name = model["name"]
    if name == "zcnn":
        net = ZCnn(bounds[0]["t"] if bounds else None)
    elif bounds:
        raise ValueError(f"{path}: brelu is known of zcnn only")
    elif name == "lenet":
        net = LeNet()
    elif name.startswith("resnet"):
        net = ResNet(model["shortcut"], model["width"], about["data"]["channels"],
                     (int(name[6:]) - 2) // 6)
    else:
        raise ValueError(f"{path}: no twin of {name}")
    net.load_state_dict(load_file(path), strict=True)
    return name, Pixels(net, about["input"]["mean"], about["input"]["std"]).eval() \
        .requires_grad_(False)


def set_values(model):
    """Weights and statistics by formula; batches counted: some."""
    state = model.state_dict()
    for name, v in state.items():
        if v.is_floating_point():
            state[name] = values(name, tuple(v.shape), "bn" in name or "downsample.1" in name)
        else:
            state[name] = torch.full_like(v, 7)
    model.load_state_dict(state)
    return model


def images(count, size, channels):
    """[N,H,W,C] in [0,1), f32."""
    x = numbers(7, count * size * size * channels) * 0.5 + 0.5
    return x.astype(np.float32).reshape(count, size, size, channels)


def logits(model, x, mean=None, std=None):
    """f64, evaluation mode, of images [N,H,W,C]."""
    x = torch.from_numpy(x).double()
    if mean is not None:
        x = (x - torch.tensor(mean).double()) / torch.tensor(std).double()
    with torch.no_grad():
        return model.double().eval()(x.permute(0, 3, 1, 2))


def print_logits(to, name, rows):
    print(f"static const double torch_{name}[2][10] = {{", file=to)
    for row in rows:
        print("    {" + ", ".join(f"{v:.12g}" for v in row.tolist()) + "},", file=to)
    print("};", file=to)


def print_header(to, guard, tables):
    print(f"#ifndef {guard}\n#define {guard}", file=to)
    print(f"/* Made by tests/bench/torch_models.py with PyTorch {torch.__version__}. */", file=to)
    for name, rows in tables:
        print_logits(to, name, rows)
    print("#endif", file=to)


def golden():
    tables = []
    for name, model, size, channels in (("lenet", LeNet(), 28, 1),
                                        ("resnet20_a", ResNet("A"), 32, 3),
                                        ("resnet20_b", ResNet("B"), 32, 3)):
        tables.append((name, logits(set_values(model), images(2, size, channels))))
    print_header(sys.stdout, "TDO_TESTS_TORCH_LOGITS_H", tables)
    return 0


def fixture(directory):
    model = set_values(ResNet("B", 1 / 16))
    save_file(model.state_dict(), f"{directory}/torch_resnet20.safetensors",
              metadata={"format": "pt"})
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    with open(f"{directory}/torch_resnet20.h", "w") as to:
        print_header(to, "TDO_TESTS_TORCH_RESNET20_H",
                     [("narrow", logits(model, images(2, 32, 3), mean, std))])
    return 0


class Check:
    """Runs testudo and PyTorch on the same files and images."""

    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.directory = tempfile.mkdtemp(prefix="testudo-torch-")
        self.failures = 0

    def run(self, program, *arguments):
        done = subprocess.run((f"{self.build}/{program}",) + arguments, cwd=self.directory,
                              stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    def compare(self, what, want, x, *arguments):
        x.tofile(f"{self.directory}/pixels")
        text = self.run("logits", "pixels", *arguments)
        got = torch.tensor([[float(v) for v in line.split()] for line in text.splitlines()],
                           dtype=torch.float64)
        gap = (got - want).abs().max().item()
        good = gap < TOLERANCE
        self.failures += not good
        print(f"{what}: max |difference of logits| {gap:.1e} over {len(x)} images, logits up to "
              f"{want.abs().max().item():.1f}: {'ok' if good else 'TOO LARGE'}")

    def from_torch(self, what, model, size, channels, *arguments, mean=None, std=None, cast=None):
        """A random network, running statistics included, saved by PyTorch, read by testudo."""
        for name, v in model.state_dict().items():
            if name.endswith("running_mean") or name.endswith("bias"):
                v.normal_(0, 0.1)
            elif name.endswith("running_var"):
                v.uniform_(0.5, 1.5)
            elif name.startswith("fc"):
                v.mul_(10)  # logits of size 1 to 10
        state = model.state_dict()
        if cast:
            state = {k: v.to(cast) if v.is_floating_point() else v for k, v in state.items()}
            model.load_state_dict(state)
        save_file(state, f"{self.directory}/torch.safetensors")
        x = images(16, size, channels)
        if mean:
            arguments += ("model.mean=" + ",".join(map(str, mean)),
                          "model.std=" + ",".join(map(str, std)))
        self.compare(f"PyTorch to testudo, {what}", logits(model, x, mean, std), x,
                     "model.file=torch.safetensors", *arguments)

    def to_torch(self, name, model, *arguments):
        """One step of training on glyphs, loaded strictly by PyTorch."""
        run = f"runs/{name}"
        self.run("testudo", "train", "data.file=glyphs.h5", f"run.dir={run}", "train.steps=1",
                 "train.shards=2", f"model.name={name.rstrip('ab')}", *arguments)
        path = f"{self.directory}/{run}/model.safetensors"
        missing, unexpected = model.load_state_dict(load_file(path), strict=True)
        load_model(model, path, strict=True)
        print(f"testudo to PyTorch, {name}: load_state_dict(strict=True) and "
              f"load_model(strict=True): {len(missing)} missing, {len(unexpected)} unexpected")
        x = images(16, 28, 1)
        self.compare(f"testudo to PyTorch, {name}", logits(model, x), x,
                     f"model.file={path}")


def check(build="build/release"):
    torch.manual_seed(1)
    c = Check(build)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    c.from_torch("lenet", LeNet(), 28, 1, "model.name=lenet")
    c.from_torch("zcnn", ZCnn(), 28, 1, "model.name=zcnn")
    for shortcut in "AB":
        c.from_torch(f"resnet20 {shortcut}", ResNet(shortcut), 32, 3, "model.name=resnet20",
                     f"model.shortcut={shortcut}", mean=mean, std=std)
    for cast in (torch.float16, torch.bfloat16):
        c.from_torch(f"resnet20 B in {cast}", ResNet("B"), 32, 3, "model.name=resnet20",
                     mean=mean, std=std, cast=cast)
    c.run("testudo", "import", "import.format=glyphs", "import.out=glyphs.h5",
          "import.train=1000", "import.test=100")
    c.to_torch("lenet", LeNet())
    c.to_torch("zcnn", ZCnn())
    c.to_torch("resnet20a", ResNet("A", colours=1), "model.shortcut=A")
    c.to_torch("resnet20b", ResNet("B", colours=1))
    return 1 if c.failures else 0


def main():
    jobs = {"golden": golden, "fixture": fixture, "check": check}
    if len(sys.argv) < 2 or sys.argv[1] not in jobs:
        print(__doc__, file=sys.stderr)
        return 2
    return jobs[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
