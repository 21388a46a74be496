#!/usr/bin/env python3
"""The inner loops beside PyTorch's, in turns on one core.

    taskset -c 0 python3 tests/bench/versus_torch.py [--testudo build/release/testudo]
        [--rounds 7] [--seconds 2] [--batch 32] [certify|train ...] [resnet20|resnet110|vgg16 ...] [f32|bf16 ...]

Every round runs each side once; what is printed is the median of the rounds, and of the ratios
within a round, so that a slow minute of the machine hits both sides.

certify: noise, forward pass, argmax, count, on batches of 32x32x3 images (--batch, both sides), as Cohen et al. 2019 do it
    (torch.randn, one batch after the other). PyTorch runs eager (channels-last, inference mode),
    frozen (TorchScript, optimize_for_inference) and compiled (torch.compile).
train: forward, backward and SGD with momentum on batches of 128, eager (channels-last) and
    compiled.

Needs PyTorch (pip install torch numpy safetensors) and, to compile, a C++ compiler.
"""
import argparse
import re
import statistics
import subprocess
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F
from torch_models import ResNet

TRAIN_BATCH, SIGMA = 128, 0.25
RUNS = (("certify", "resnet20", "f32"), ("certify", "resnet20", "bf16"),
        ("certify", "resnet110", "f32"), ("certify", "resnet110", "bf16"),
        ("train", "resnet20", "f32"), ("train", "vgg16", "f32"))


class Vgg16(nn.Module):
    """Thirteen convolutions with batch norm and one linear layer, as testudo's vgg16."""

    def __init__(self):
        super().__init__()
        layers, before = [], 3
        for c in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
            if c:
                layers += [nn.Conv2d(before, c, 3, padding=1), nn.BatchNorm2d(c), nn.ReLU(True)]
                before = c
            else:
                layers.append(nn.MaxPool2d(2))
        self.features, self.classifier = nn.Sequential(*layers), nn.Linear(512, 10)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def model_of(name):
    return Vgg16() if name == "vgg16" else ResNet(blocks={"resnet20": 3, "resnet110": 18}[name])


def repeat(step, seconds):
    """Calls a second."""
    step()
    begin, calls = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        step()
        calls += 1
    return calls / (time.perf_counter() - begin)


class Certify:
    batch = 32
    forms = ("eager", "frozen", "compiled")

    def __init__(self, name, precision, form):
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        model = model_of(name).eval().to(dtype=self.dtype, memory_format=torch.channels_last)
        self.x = torch.rand(self.batch, 3, 32, 32).to(memory_format=torch.channels_last)
        self.votes = torch.zeros(10, dtype=torch.int64)
        if form == "frozen":
            with torch.no_grad():
                traced = torch.jit.trace(model, self.x.to(self.dtype))
                model = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        elif form == "compiled":
            model = torch.compile(model)
        self.model = model

    def step(self):
        with torch.inference_mode():
            x = self.x + SIGMA * torch.randn_like(self.x)
            vote = self.model(x.to(self.dtype)).argmax(1)
            self.votes += torch.bincount(vote, minlength=10)


class Train:
    batch = TRAIN_BATCH
    forms = ("eager", "compiled")

    def __init__(self, name, precision, form):
        assert precision == "f32"
        self.model = model_of(name).train().to(memory_format=torch.channels_last)
        self.optim = torch.optim.SGD(self.model.parameters(), lr=1e-6, momentum=0.9)
        self.x = torch.rand(TRAIN_BATCH, 3, 32, 32).to(memory_format=torch.channels_last)
        self.y = torch.arange(TRAIN_BATCH) % 10
        self.run = torch.compile(self.model) if form == "compiled" else self.model

    def step(self):
        self.optim.zero_grad(set_to_none=True)
        F.cross_entropy(self.run(self.x), self.y).backward()
        self.optim.step()


LOOPS = {"certify": Certify, "train": Train}


def ours(program, what, name, precision, seconds):
    """Images a second of testudo bench."""
    out = subprocess.run(
        [program, "bench", f"bench.what={what}", f"model.name={name}", "model.input=32,32,3",
         f"model.precision={precision}", f"bench.seconds={seconds}", f"bench.batch={Certify.batch}",
         f"train.batch={TRAIN_BATCH}"],
        check=True, capture_output=True, text=True).stdout
    return float(re.search(rf"^{what}\s+([0-9.]+)", out, re.M).group(1))


def compare(o, what, name, precision):
    loop = LOOPS[what]
    sides, rates = {}, {"testudo": []}
    for form in loop.forms:
        try:
            side = loop(name, precision, form)
            side.step()
            sides[form], rates[form] = side, []
        except Exception as reason:  # a form that this PyTorch cannot make
            print(f"# {what} {name} {precision} {form}: {str(reason).splitlines()[0]}")
    for _ in range(o.rounds):
        rates["testudo"].append(ours(o.testudo, what, name, precision, o.seconds))
        for form, side in sides.items():
            rates[form].append(loop.batch * repeat(side.step, o.seconds))
    line = f"{what:8s} {name:10s} {precision:5s}"
    for form, values in rates.items():
        line += f" | {form} {statistics.median(values):8.1f}"
        if form != "testudo":
            ratios = [a / b for a, b in zip(rates["testudo"], values)]
            line += f" (x {statistics.median(ratios):.2f})"
    print(line, flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--testudo", default="build/release/testudo")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--batch", type=int, default=Certify.batch)
    p.add_argument("only", nargs="*", help="words that a run must have, one of each kind")
    o = p.parse_args()
    Certify.batch = o.batch
    torch.set_num_threads(1)
    print(f"# PyTorch {torch.__version__}; images a second, median of {o.rounds} rounds, "
          f"batch {o.batch}; "
          "(x ratio) testudo to PyTorch, median within rounds")
    for run in RUNS:
        kinds = [{r[i] for r in RUNS} & set(o.only) for i in range(3)]
        if all(not kind or word in kind for word, kind in zip(run, kinds)):
            compare(o, *run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
