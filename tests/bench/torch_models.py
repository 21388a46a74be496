#!/usr/bin/env python3
"""Networks in PyTorch, beside testudo's.

    python3 tests/bench/torch_models.py golden > tests/nn/models/torch_logits.h
    python3 tests/bench/torch_models.py fixture tests/jobs
    python3 tests/bench/torch_models.py check [build/release]

golden: logits for tests/nn/models/test_logits.c, evaluation mode, f64. Weights, running
statistics and images are a hash of (parameter name, element), so both sides compute the same
ones and only logits are stored.
fixture: a narrow resnet20 saved by PyTorch, torch_resnet20.safetensors, and its logits as
torch_resnet20.h, for tests/jobs/test_network.c.
check: model files in both directions. PyTorch's files are read by testudo and the other way
round, strictly; logits must agree within 1e-4, of the largest where that is above 1. Needs the program, and the tool `logits`:
cmake --build --preset release --target testudo logits.
from_file() gives the network of a model file of testudo's, input layer included.

Needs PyTorch, torchvision and safetensors (pip install torch torchvision numpy safetensors).
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
LAST = ("fc.weight", "fc1.weight", "fc2.weight", "conv5.weight", "cccp6.weight",
        "classifier.fc3.weight", "classifier.6.weight", "final.weight")


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


class Mlp(nn.Module):
    """Inputs-500-150-10, as testudo's mlp."""

    def __init__(self, inputs=784):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(inputs, 500), nn.Linear(500, 150)
        self.fc3 = nn.Linear(150, 10)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


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


class ConvNet(nn.Module):
    """Deep Defense's CIFAR-10 net: pooling, then ReLU, behind the first convolution."""

    def __init__(self, colours=3):
        super().__init__()
        self.conv1 = nn.Conv2d(colours, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 32, 5, padding=2)
        self.conv3 = nn.Conv2d(32, 64, 5, padding=2)
        self.conv4, self.conv5 = nn.Conv2d(64, 64, 4), nn.Conv2d(64, 10, 1)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.avg_pool2d(F.relu(self.conv2(x)), 2)
        x = F.avg_pool2d(F.relu(self.conv3(x)), 2)
        return self.conv5(F.relu(self.conv4(x))).flatten(1)


class Nin(nn.Module):
    """Network in network as Deep Defense has it."""

    def __init__(self, colours=3):
        super().__init__()
        for name, before, after, kernel in (
                ("conv1", colours, 192, 5), ("cccp1", 192, 160, 1), ("cccp2", 160, 96, 1),
                ("conv2", 96, 192, 5), ("cccp3", 192, 192, 1), ("cccp4", 192, 192, 1),
                ("conv3", 192, 192, 3), ("cccp5", 192, 192, 1), ("cccp6", 192, 10, 1)):
            setattr(self, name, nn.Conv2d(before, after, kernel, padding=kernel // 2))

    def forward(self, x):
        x = F.relu(self.cccp2(F.relu(self.cccp1(F.relu(self.conv1(x))))))
        x = F.max_pool2d(x, 2)
        x = F.relu(self.cccp4(F.relu(self.cccp3(F.relu(self.conv2(x))))))
        x = F.avg_pool2d(x, 2)
        x = self.cccp6(F.relu(self.cccp5(F.relu(self.conv3(x)))))
        return x.mean((2, 3))


class MadryMnist(nn.Module):
    """The network of the MNIST challenge."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 64, 5, padding=2)
        self.fc1, self.fc2 = nn.Linear(7 * 7 * 64, 1024), nn.Linear(1024, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class SmallCnn(nn.Module):
    """TRADES' MNIST network, by its names."""

    def __init__(self):
        super().__init__()
        self.feature_extractor, self.classifier = nn.Module(), nn.Module()
        f, c = self.feature_extractor, self.classifier
        f.conv1, f.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 32, 3)
        f.conv3, f.conv4 = nn.Conv2d(32, 64, 3), nn.Conv2d(64, 64, 3)
        c.fc1, c.fc2, c.fc3 = nn.Linear(1024, 200), nn.Linear(200, 200), nn.Linear(200, 10)

    def forward(self, x):
        f, c = self.feature_extractor, self.classifier
        x = F.max_pool2d(F.relu(f.conv2(F.relu(f.conv1(x)))), 2)
        x = F.max_pool2d(F.relu(f.conv4(F.relu(f.conv3(x)))), 2)
        return c.fc3(F.relu(c.fc2(F.relu(c.fc1(x.flatten(1))))))


class AlexNet(nn.Module):
    """torchvision's, by its names; channels and units times width."""

    def __init__(self, width=1, colours=3):
        super().__init__()
        a, b, c, d, units = (max(1, int(n * width + 0.5)) for n in (64, 192, 384, 256, 4096))

        def part(i, before, after, kernel, stride, pad):
            return [(str(i), nn.Conv2d(before, after, kernel, stride, pad)), (str(i + 1), nn.ReLU())]

        layers = part(0, colours, a, 11, 4, 2) + [("2", nn.MaxPool2d(3, 2))]
        layers += part(3, a, b, 5, 1, 2) + [("5", nn.MaxPool2d(3, 2))]
        layers += part(6, b, c, 3, 1, 1) + part(8, c, d, 3, 1, 1) + part(10, d, d, 3, 1, 1)
        self.features = nn.Sequential()
        for name, layer in layers + [("12", nn.MaxPool2d(3, 2))]:
            self.features.add_module(name, layer)
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(d * 36, units), nn.ReLU(),
            nn.Dropout(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, 10))

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class ResNet18(nn.Module):
    """torchvision's, by its names; channels times width."""

    def __init__(self, width=1, colours=3):
        super().__init__()
        before = max(1, int(64 * width + 0.5))
        self.conv1 = nn.Conv2d(colours, before, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        for stage in range(4):
            channels = max(1, int((64 << stage) * width + 0.5))
            self.add_module(f"layer{stage + 1}", nn.Sequential(
                Block(before, channels, 2 if stage else 1, "B"),
                Block(channels, channels, 1, "B")))
            before = channels
        self.fc = nn.Linear(before, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class Bottleneck(nn.Module):
    """torchvision's: the stride sits in the 3x3 convolution."""

    def __init__(self, before, inner, out, stride, groups):
        super().__init__()
        self.conv1 = nn.Conv2d(before, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = nn.Identity()
        if stride != 1 or before != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Bottlenecks(nn.Module):
    """A stem, stages of bottleneck blocks, fc; channels of a group times width."""

    def __init__(self, stem, blocks, groups, expansion, width):
        super().__init__()
        before = max(1, int(64 * width + 0.5))
        self.conv1, self.bn1, self.stages = stem(before), nn.BatchNorm2d(before), len(blocks)
        for stage, count in enumerate(blocks):
            inner = groups * max(1, int((64 << stage) * width + 0.5))
            layer = []
            for block in range(count):
                stride = 2 if stage and block == 0 else 1
                layer.append(Bottleneck(before, inner, inner * expansion, stride, groups))
                before = inner * expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(before, 10)

    def pool(self, x):
        return x

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


class ResNet50(Bottlenecks):
    """torchvision's, by its names; with (3, 8, 36, 3) blocks resnet152."""

    def __init__(self, width=1, colours=3, blocks=(3, 4, 6, 3)):
        super().__init__(lambda n: nn.Conv2d(colours, n, 7, 2, 3, bias=False), blocks, 1, 4, width)

    def pool(self, x):
        return F.max_pool2d(x, 3, 2, 1)


class ResNeXt29(Bottlenecks):
    """2x64d, as Random Self-Ensemble's code has it."""

    def __init__(self, width=1, colours=3):
        super().__init__(lambda n: nn.Conv2d(colours, n, 1, bias=False), (3, 3, 3), 2, 2, width)


class ModelA(nn.Module):
    """Random Self-Ensemble's for STL-10 (norm without scale and shift, max pooling at the end), and
    its later form, aaron."""

    def __init__(self, width=1, colours=3, later=False):
        super().__init__()
        self.later, before = later, colours
        for i, n in enumerate((32, 64, 128, 256, 256, 512) if later else
                              (32, 64, 128, 128, 256, 256)):
            channels = max(1, int(n * width + 0.5))
            self.add_module(f"conv{i + 1}", nn.Conv2d(before, channels, 3, padding=int(i < 4)))
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(channels, affine=later))
            before = channels
        self.fc = nn.Linear(before, 10)

    def forward(self, x):
        for i in range(1, 7):
            x = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
            x = F.max_pool2d(x, 2) if i < 5 else x
        return self.fc((F.avg_pool2d(x, 2) if self.later else F.max_pool2d(x, 2)).flatten(1))


class WideBlock(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.convShortcut = None
        if before != channels:
            self.convShortcut = nn.Conv2d(before, channels, 1, stride, bias=False)

    def forward(self, x):
        a = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return y + (self.convShortcut(a) if self.convShortcut else x)


class WideResNet(nn.Module):
    """Zagoruyko and Komodakis', by TRADES' names."""

    def __init__(self, depth=28, width=10, colours=3):
        super().__init__()
        before = 16
        self.conv1 = nn.Conv2d(colours, before, 3, 1, 1, bias=False)
        for group in range(3):
            channels = int((16 << group) * width + 0.5)
            blocks = []
            for block in range((depth - 4) // 6):
                blocks.append(WideBlock(before, channels, 2 if group and block == 0 else 1))
                before = channels
            part = nn.Module()
            part.layer = nn.Sequential(*blocks)
            self.add_module(f"block{group + 1}", part)
        self.bn1 = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before, 10)

    def forward(self, x):
        x = self.conv1(x)
        for part in (self.block1, self.block2, self.block3):
            x = part.layer(x)
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


class Unit(nn.Module):
    """A convolution of a denoiser."""

    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Denoiser(nn.Module):
    """dunet, and without laterals dae, by the names of the published code; channels times width."""

    def __init__(self, width=1, colours=3, laterals=True):
        super().__init__()
        self.laterals = laterals
        n = [max(1, int(c * width + 0.5)) for c in (64, 128, 256, 256, 256)]

        def block(before, channels, units, stride):
            return nn.Sequential(*[Unit(channels if i else before, channels, 1 if i else stride)
                                   for i in range(units)])

        self.fwd = nn.ModuleList(block(n[i - 1] if i else colours, n[i], 3 if i else 2,
                                       2 if i else 1) for i in range(5))
        out = [n[0], n[1], n[2], n[3]]
        deeper = out[1:] + [n[4]]
        self.back = nn.ModuleList(block(deeper[i] + (n[i] if laterals else 0), out[i],
                                        3 if i else 2, 1) for i in range(4))
        self.final = nn.Conv2d(out[0], colours, 1, bias=False)

    def forward(self, x):
        y, beside = x, []
        for part in self.fwd:
            y = part(y)
            beside.append(y)
        for i in reversed(range(4)):
            y = F.interpolate(y, size=beside[i].shape[2:], mode="bilinear", align_corners=True)
            y = torch.cat((y, beside[i]), 1) if self.laterals else y
            y = self.back[i](y)
        return x + self.final(y)


def torchvision_models():
    """torchvision's networks; its own kernels, which they do not use, may be those of another
    build of PyTorch and then do not load."""
    try:
        import torchvision
    except RuntimeError:
        for name in [n for n in sys.modules if n.startswith("torchvision")]:
            del sys.modules[name]
        global TORCHVISION
        TORCHVISION = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            TORCHVISION.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision.models


def inception_v3(classes=10):
    return torchvision_models().inception_v3(weights=None, num_classes=classes, init_weights=False)


def twin(model, colours):
    """The network of a model file's "model"."""
    name = model["name"]
    plain = {"mlp": Mlp, "lenet": LeNet, "zcnn": ZCnn, "madry_mnist": MadryMnist, "small_cnn": SmallCnn}
    if name in plain:
        return plain[name]()
    if name in ("convnet", "nin"):
        return (ConvNet if name == "convnet" else Nin)(colours)
    if name in ("alexnet", "resnet18"):
        return (AlexNet if name == "alexnet" else ResNet18)(model["width"], colours)
    wide = {"resnet50": ResNet50, "resnext29": ResNeXt29, "model_a": ModelA}
    if name in wide:
        return wide[name](model["width"], colours)
    if name == "resnet152":
        return ResNet50(model["width"], colours, (3, 8, 36, 3))
    if name == "aaron":
        return ModelA(model["width"], colours, later=True)
    if name in ("dunet", "dae"):
        return Denoiser(model["width"], colours, name == "dunet")
    if name == "inception_v3" and model["width"] == 1:
        return inception_v3()
    if name == "wrn":
        return WideResNet(model["depth"], model["width"], colours)
    if name.startswith("resnet"):
        return ResNet(model["shortcut"], model["width"], colours, (int(name[6:]) - 2) // 6)
    raise ValueError(f"no twin of {name}")


class Pixels(nn.Module):
    """The input layer in front of a network: takes pixels in [0,1]. (x - mean) / std, or by the
    tensors mean, contrast and whiten of a model file, then / std."""

    def __init__(self, net, mean, std, tensors=None):
        super().__init__()
        self.net, tensors = net, tensors or {}
        image = tensors.get("input.mean", torch.tensor(mean or [0.0]).view(-1, 1, 1))
        self.register_buffer("mean", image)
        self.register_buffer("std", torch.tensor(std or [1.0]).view(-1, 1, 1))
        self.register_buffer("contrast", tensors.get("input.contrast"))
        self.register_buffer("whiten", tensors.get("input.whiten"))

    def forward(self, x):
        x = x - self.mean
        if self.contrast is not None:
            x = x - x.mean((1, 2, 3), keepdim=True)
            deviation = x.flatten(1).std(1).view(-1, 1, 1, 1)
            x = x * self.contrast / deviation.clamp(min=40 / 255)
        if self.whiten is not None:
            x = (x.flatten(1) @ self.whiten.T).view_as(x)
        return self.net(x / self.std)


def from_file(path):
    """Name and network, in evaluation mode and with no gradients of weights, of a model file that
    testudo wrote: one of twin(), without defenses but brelu (zcnn)."""
    with safe_open(path, "pt") as f:
        about = json.loads(f.metadata()["testudo"])
    model, bounds = about["model"], [d for d in about["defense"] if d["name"] == "brelu"]
    name = model["name"]
    if bounds and name != "zcnn":
        raise ValueError(f"{path}: brelu is known of zcnn only")
    net = ZCnn(bounds[0]["t"]) if bounds else twin(model, about["data"]["channels"])
    state = load_file(path)
    tensors = {key: state.pop(key) for key in list(state) if key.startswith("input.")}
    net.load_state_dict(state, strict=True)
    return name, Pixels(net, about["input"]["mean"], about["input"]["std"], tensors).eval() \
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
                                        ("resnet20_b", ResNet("B"), 32, 3),
                                        ("convnet", ConvNet(), 32, 3),
                                        ("nin", Nin(), 32, 3),
                                        ("madry_mnist", MadryMnist(), 28, 1),
                                        ("small_cnn", SmallCnn(), 28, 1),
                                        ("alexnet", AlexNet(1 / 32), 96, 3),
                                        ("resnet18", ResNet18(1 / 8), 65, 3),
                                        ("wrn_16_1", WideResNet(16, 1), 32, 3),
                                        ("wrn_10_2", WideResNet(10, 2), 32, 3),
                                        ("resnet50", ResNet50(1 / 16), 65, 3),
                                        ("resnet152", ResNet50(1 / 16, blocks=(3, 8, 36, 3)), 65, 3),
                                        ("inception_v3", inception_v3(), 75, 3),
                                        ("dunet", Denoiser(1 / 16), 21, 3),
                                        ("dae", Denoiser(1 / 16, laterals=False), 18, 3),
                                        ("resnext29", ResNeXt29(1 / 16), 32, 3),
                                        ("model_a", ModelA(1 / 4), 96, 3),
                                        ("aaron", ModelA(1 / 8, later=True), 96, 3)):
        rows = logits(set_values(model), images(2, size, channels))
        if rows.dim() == 4:  # an image: ten of its numbers, equally far apart
            rows = rows.permute(0, 2, 3, 1).flatten(1)
            rows = rows[:, [i * rows.shape[1] // 10 for i in range(10)]]
        tables.append((name, rows))
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
        if want.dim() == 4:
            want = want.permute(0, 2, 3, 1).flatten(1)
        x.tofile(f"{self.directory}/pixels")
        text = self.run("logits", "pixels", *arguments)
        got = torch.tensor([[float(v) for v in line.split()] for line in text.splitlines()],
                           dtype=torch.float64)
        gap = (got - want).abs().max().item() / max(1, want.abs().max().item())
        good = gap < TOLERANCE
        self.failures += not good
        print(f"{what}: max |difference of logits| {gap:.1e} (of the largest, if above 1) over {len(x)} images, logits up to "
              f"{want.abs().max().item():.1f}: {'ok' if good else 'TOO LARGE'}")

    def from_torch(self, what, model, size, channels, *arguments, mean=None, std=None, cast=None,
                   count=16):
        """A random network, running statistics included, saved by PyTorch, read by testudo."""
        for name, v in model.state_dict().items():
            if name.endswith("running_mean") or name.endswith("bias"):
                v.normal_(0, 0.1)
            elif name.endswith("running_var"):
                v.uniform_(0.5, 1.5)
            elif name in LAST:
                v.mul_(10)  # logits of size 1 to 10
        state = model.state_dict()
        if cast:
            state = {k: v.to(cast) if v.is_floating_point() else v for k, v in state.items()}
            model.load_state_dict(state)
        save_file(state, f"{self.directory}/torch.safetensors")
        x = images(count, size, channels)
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


    def input_layer(self, name, *arguments):
        """The tensors of an input layer, learnt from glyphs, do the same here."""
        run = f"runs/input-{name}"
        self.run("testudo", "train", "data.file=glyphs.h5", f"run.dir={run}", "train.steps=1",
                 "train.lr=1e-3", "model.name=lenet", "model.mean_image=true", "model.std=0.5",
                 *arguments)
        path = f"{self.directory}/{run}/model.safetensors"
        net = from_file(path)[1]
        x = images(16, 28, 1)
        self.compare(f"testudo to PyTorch, input layer {name}", logits(net, x), x,
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
    for name, model, size, channels, more in (
            ("convnet", ConvNet(), 32, 3, ()), ("nin", Nin(), 32, 3, ()),
            ("madry_mnist", MadryMnist(), 28, 1, ()), ("small_cnn", SmallCnn(), 28, 1, ()),
            ("alexnet", AlexNet(), 224, 3, ()), ("alexnet", AlexNet(0.25), 256, 3, ("0.25",)),
            ("resnet18", ResNet18(), 224, 3, ()), ("resnet18", ResNet18(), 32, 3, ()),
            ("wrn", WideResNet(28, 10), 32, 3, ("10", "28")),
            ("resnet50", ResNet50(), 224, 3, ()), ("resnext29", ResNeXt29(), 32, 3, ()),
            ("resnext29", ResNeXt29(0.3), 32, 3, ("0.3",)), ("model_a", ModelA(), 96, 3, ()),
            ("aaron", ModelA(later=True), 96, 3, ())):
        options = [f"model.{key}={v}" for key, v in zip(("width", "depth"), more)]
        c.from_torch(f"{name} {size}x{size} {' '.join(more)}", model, size, channels,
                     f"model.name={name}", f"model.input={size},{size},{channels}", *options)
    tv, classes = torchvision_models(), "model.classes=1000"
    c.from_torch("torchvision's resnet152 224x224", tv.resnet152(weights=None), 224, 3,
                 "model.name=resnet152", classes, count=4)
    c.from_torch("torchvision's inception_v3 299x299", inception_v3(1000), 299, 3,
                 "model.name=inception_v3", classes, mean=(0.5,) * 3, std=(0.5,) * 3, count=4)
    for name in ("dunet", "dae"):
        for size, width in ((299, 0.25), (97, 1)):
            c.from_torch(f"{name} {size}x{size} {width}", Denoiser(width, 3, name == "dunet"), size,
                         3, f"model.name={name}", f"model.input={size},{size},3",
                         f"model.width={width}", count=2)
    for cast in (torch.float16, torch.bfloat16):
        c.from_torch(f"resnet20 B in {cast}", ResNet("B"), 32, 3, "model.name=resnet20",
                     mean=mean, std=std, cast=cast)
    c.run("testudo", "import", "import.format=glyphs", "import.out=glyphs.h5",
          "import.train=1000", "import.test=100")
    c.to_torch("lenet", LeNet())
    c.to_torch("zcnn", ZCnn())
    c.to_torch("madry_mnist", MadryMnist(), "train.lr=1e-4")  # else logits of size 200
    c.to_torch("small_cnn", SmallCnn())
    c.to_torch("nin", Nin(1))
    c.to_torch("resnet18", ResNet18(0.25, 1), "model.width=0.25")
    c.to_torch("resnet50", ResNet50(0.25, 1), "model.width=0.25")
    c.to_torch("resnext29", ResNeXt29(0.25, 1), "model.width=0.25")
    c.to_torch("wrn", WideResNet(16, 2, 1), "model.depth=16", "model.width=2")
    c.input_layer("mean")
    c.input_layer("contrast", "model.contrast=true")
    c.input_layer("whiten", "model.contrast=true", "model.whiten=true")
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
