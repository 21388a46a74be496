#!/usr/bin/env python3
"""Deep Defense, and training on PGD, beside the same in PyTorch: values, gradients, time of a step.

    OMP_NUM_THREADS=1 taskset -c 0 python3 tests/bench/versus_deep.py [--testudo build/release/testudo]
        [--rounds 5] [--seconds 4] [--runs DIR] [check|time ...] [mlp|lenet|resnet20|pgd ...]

check: testudo trains a network for a few epochs, then takes one step of plain gradient descent with
    the regulariser at a huge rate; what the weights moved by, divided by the rate, is the gradient.
    PyTorch has the same network (torch_models.py), images and objective in f64, differentiated
    twice: the classes to go to are chosen among all gradients, the gradient of the chosen one is
    differentiated. resnet20 has batch norm, with running statistics (train.norm = fixed).
time: a step on 100 images, 8 shards against one batch, in turns; the ratio of the processor times
    within a round (the machine may be shared), median of the rounds. pgd: a step of training on
    PGD-7 (L-inf, 8/255), ResNet-20, 128 images of 32x32x3; the attack in evaluation mode, as the
    best of eager contiguous and channels-last.

Needs PyTorch (pip install torch numpy safetensors h5py).
"""
import argparse
import copy
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import h5py
import torch
from torch.nn import functional as F
from safetensors.torch import load_file
from torch_models import ResNet, from_file, twin

LAMBDA, C, D, STEPS, OVERSHOOT, SMALL = 15, 25, 5, 5, 0.02, 5e-6
ROWS, RATE, TOLERANCE = 100, 1000, 1e-4
EPOCHS = {"mlp": 12, "lenet": 12, "resnet20": 6}  # to where no row is at an edge
NETWORKS = {"mlp": [], "lenet": [], "resnet20": ["model.width=0.5"]}
TRAIN = {"mlp": [], "lenet": [], "resnet20": ["train.norm=fixed"]}


def penalty(behind, x, labels):
    """Of each row, as testudo's deep_defense; Yan et al. 2018. `behind` is the network behind its
    input layer, x what it sees."""
    rows, detached = torch.arange(len(x)), x.detach()
    over = (-1,) + (1,) * (x.dim() - 1)
    with torch.no_grad():
        predicted = behind(x).argmax(1)
    wrong, own = predicted != labels, predicted
    r, is_open = torch.zeros_like(x), torch.ones(len(x), dtype=torch.bool)
    for step in range(STEPS):
        point = x + r
        if not point.requires_grad:
            point.requires_grad_(True)
        z = behind(point)
        with torch.no_grad():
            distance = torch.full_like(z, 1e30)
        for k in range(z.shape[1]):
            gap = z[:, k] - z[rows, own]
            w, = torch.autograd.grad(gap.sum(), point, retain_graph=True)
            distance[:, k] = gap.detach().abs() / (w + SMALL).flatten(1).norm(dim=1)
        distance[rows, own] = 1e30
        to = torch.where(wrong, labels, distance.argmin(1))
        gap = z[rows, to] - z[rows, own]
        w, = torch.autograd.grad(gap.sum(), point, create_graph=True)
        length = (w + SMALL).flatten(1).norm(dim=1)
        move = w * (gap.abs() / length ** 2).view(over)
        r = r + torch.where(is_open.view(over), move, torch.zeros_like(move))
        if step + 1 < STEPS:
            with torch.no_grad():
                now = behind(x + (1 + OVERSHOOT) * r).argmax(1)
            is_open = is_open & torch.where(wrong, now != labels, now == predicted)
            own = torch.where(wrong, now, predicted)
    share = (1 + OVERSHOOT) * r.flatten(1).norm(dim=1) / detached.flatten(1).norm(dim=1)
    return LAMBDA * torch.where(wrong, torch.exp((D * share).clamp(max=30)),
                                torch.exp(-C * share))


def objective(behind, x, labels):
    return F.cross_entropy(behind(x), labels) + penalty(behind, x, labels).mean()


# ---- values and gradients ---------------------------------------------------------------------


class Runs:
    def __init__(self, o):
        self.testudo, self.at = os.path.abspath(o.testudo), o.runs or tempfile.mkdtemp()
        os.makedirs(self.at, exist_ok=True)
        self.run("import", "import.format=glyphs", "import.out=glyphs.h5",
                 f"import.train={ROWS}", "import.test=10")
        with h5py.File(f"{self.at}/glyphs.h5") as f:
            x, y = f["train/x"][:], f["train/y"][:]
        self.x = torch.from_numpy(x).double().permute(0, 3, 1, 2) / 255
        self.y = torch.from_numpy(y).long()

    def run(self, *arguments):
        return subprocess.run((self.testudo,) + arguments, cwd=self.at, check=True,
                              capture_output=True, text=True).stdout

    def train(self, to, *arguments):
        self.run("train", "data.file=glyphs.h5", f"run.dir={to}", *arguments)
        return load_file(f"{self.at}/{to}/model.safetensors")


def check(runs, name):
    model = f"model.name={name}"
    before = runs.train(f"{name}-0", model, *NETWORKS[name], "train.batch=20",
                        f"train.epochs={EPOCHS[name]}", "train.lr=0.02")
    after = runs.train(f"{name}-1", f"model.file={name}-0/model.safetensors", *TRAIN[name],
                       f"train.batch={ROWS}", "train.steps=1", "train.momentum=0",
                       f"train.lr={RATE}", "defense=deep_defense")
    with open(f"{runs.at}/{name}-1/metrics.jsonl") as f:
        said = json.loads(f.readline())["loss"]
    _, net = from_file(f"{runs.at}/{name}-0/model.safetensors")
    behind = net.net.double()
    learned = {k: p.requires_grad_(True) for k, p in behind.named_parameters()
               if name != "resnet20" or not ("bn" in k or "downsample.1" in k)}
    loss = objective(behind, runs.x, runs.y)
    gradient = torch.autograd.grad(loss, learned.values())
    gap = whole = 0
    for (key, _), g in zip(learned.items(), gradient):
        ours = (before[key].double() - after[key].double()) / RATE
        gap, whole = gap + (ours - g).pow(2).sum(), whole + g.pow(2).sum()
    fixed = all(torch.equal(before[k], after[k]) for k in before if k not in learned)
    share, off = (gap / whole).sqrt().item(), abs(said / loss.item() - 1)
    with torch.no_grad():
        wrong = (behind(runs.x).argmax(1) != runs.y).sum().item()
    f64 = penalty(behind, runs.x, runs.y).detach()
    f32 = penalty(copy.deepcopy(behind).float(), runs.x.float(), runs.y).detach()
    edge = ((f32 / f64 - 1).abs() > TOLERANCE).sum().item()
    good = share < TOLERANCE and off < TOLERANCE and fixed
    print(f"{name:9s} objective {loss.item():.6f}, off by {off:.1e}; gradient of length "
          f"{whole.sqrt().item():.4g}, off by {share:.1e}; {wrong} of {ROWS} rows wrong, "
          f"{edge} so near an edge that PyTorch's f32 takes another way: "
          f"{'ok' if good else 'TOO FAR' if fixed else 'MOVED WHAT IS FIXED'}", flush=True)
    return good


# ---- time of a step -----------------------------------------------------------------------------


def theirs(step, seconds):
    """Processor seconds of a step."""
    step()
    begin, calls = time.process_time(), 0
    while time.process_time() - begin < seconds:
        step()
        calls += 1
    return (time.process_time() - begin) / calls


def ours(program, arguments, seconds, batch):
    """Processor seconds of a step: those of a long run less those of a short one, over the steps."""
    spent, steps = [], []
    while len(steps) < 2 or steps[-1] == steps[0]:
        length = seconds * 2 ** (len(steps) - 1) if steps else 0.001
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        out = subprocess.run([program, "bench", "bench.what=train", f"bench.seconds={length}",
                              f"train.batch={batch}"] + arguments,
                             check=True, capture_output=True, text=True).stdout
        spent.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
        steps.append(int(re.search(r"^train .* ([0-9]+) steps", out, re.M).group(1)))
    return (spent[-1] - spent[0]) / (steps[-1] - steps[0])


class Deep:
    batch = ROWS

    def __init__(self, name, _):
        width = 0.5 if name == "resnet20" else 1.0
        self.net = twin({"name": name, "width": width, "shortcut": "B"}, 1).eval()
        self.optim = torch.optim.SGD(self.net.parameters(), lr=1e-6, momentum=0.9)
        self.x, self.y = torch.rand(ROWS, 1, 28, 28), torch.arange(ROWS) % 10

    def step(self):
        self.optim.zero_grad(set_to_none=True)
        objective(self.net, self.x, self.y).backward()
        self.optim.step()


class Pgd:
    batch = 128

    def __init__(self, _, form):
        self.form = form
        self.net = ResNet().to(memory_format=form)
        self.optim = torch.optim.SGD(self.net.parameters(), lr=1e-6, momentum=0.9)
        self.x = torch.rand(self.batch, 3, 32, 32).to(memory_format=form)
        self.y = torch.arange(self.batch) % 10

    def attack(self, eps=8 / 255, length=2 / 255):
        self.net.eval().requires_grad_(False)
        u = (self.x + torch.empty_like(self.x).uniform_(-eps, eps)).clamp(0, 1)
        for _ in range(7):
            u.requires_grad_(True)
            g, = torch.autograd.grad(F.cross_entropy(self.net(u), self.y, reduction="sum"), u)
            u = (u.detach() + length * g.sign()).clamp(self.x - eps, self.x + eps).clamp(0, 1)
        self.net.train().requires_grad_(True)
        return u

    def step(self):
        u = self.attack()
        self.optim.zero_grad(set_to_none=True)
        F.cross_entropy(self.net(u), self.y).backward()
        self.optim.step()


def timing(o, name):
    if name == "pgd":
        loop = Pgd
        words = ["model.name=resnet20", "model.input=32,32,3", "defense=adversarial", "inner=pgd",
                 "inner.0.eps=0.0313725", "inner.0.step=0.0078431", "inner.0.steps=7",
                 "inner.0.keep=last"]
        forms = (torch.contiguous_format, torch.channels_last)
    else:
        loop, forms = Deep, (None,)
        words = [f"model.name={name}", "model.input=28,28,1", "defense=deep_defense",
                 *NETWORKS[name], *TRAIN[name]]
    sides, rounds = [loop(name, form) for form in forms], []
    for _ in range(o.rounds):
        rounds.append((ours(o.testudo, words, o.seconds, loop.batch),
                       min(theirs(side.step, o.seconds) for side in sides)))
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"{name:9s} testudo {statistics.median(a for a, _ in rounds):.4f} s, PyTorch "
          f"{statistics.median(b for _, b in rounds):.4f} s a step of {loop.batch}; "
          f"testudo takes {ratio:.2f} of PyTorch's time "
          f"({min(a / b for a, b in rounds):.2f} to {max(a / b for a, b in rounds):.2f})",
          flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--testudo", default="build/release/testudo")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=4)
    p.add_argument("--runs", help="directory of the runs")
    p.add_argument("only", nargs="*", help="check, time; names")
    o = p.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    names = [n for n in list(NETWORKS) + ["pgd"]
             if n in o.only or not set(o.only) & {*NETWORKS, "pgd"}]
    both = not set(o.only) & {"check", "time"}
    good = True
    print(f"# PyTorch {torch.__version__}, one thread")
    if both or "check" in o.only:
        runs = Runs(o)
        for name in names:
            good = (name == "pgd" or check(runs, name)) and good
    if both or "time" in o.only:
        for name in names:
            timing(o, name)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
