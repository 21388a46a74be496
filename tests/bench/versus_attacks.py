#!/usr/bin/env python3
"""Attacks beside those of torchattacks, Foolbox and ART: equal budgets, weights and images.

    OMP_NUM_THREADS=1 python3 tests/bench/versus_attacks.py --model FILE.safetensors --data FILE.h5
        [--cache peers.json] [--testudo build/release/testudo] [--runs DIR] [--ranks N]
        [--only pgd ...] [--double] [--images 500] [--jsma-images 100] [--tsv]
    OMP_NUM_THREADS=1 taskset -c 0 python3 tests/bench/versus_attacks.py --speed --model FILE
        --data FILE --testudo build/release/testudo [--rounds 5] [--batch 8 32 128] [--seconds 10]

Strength: for each attack the accuracy and the median norm over images that were right and are
fooled, ours and the peer's; points; percent; the median over images that both fool of the ratio of
their norms; and how many images one side alone fools. Images are every so-manieth of the test
split. Peers (attack_peers.py) attack the same network in PyTorch (torch_models.py), and what they
make is judged there, as f32 images. The cache keeps what became of every image, so a second call
only runs what is missing. Without --testudo only the peers run.

testudo runs one config for each number of images, in --runs; outcomes that lie there and belong
to the same config are used again.

Speed: PGD-20 (L-inf) of whole images, in turns, one thread each, the median of the ratios within
rounds. testudo's time is that of the job on N images without that of the same job on one image; a
peer is the best of eager and channels-last.
"""
import argparse
import copy
import csv
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import h5py
import torch
from attack_peers import PEERS, least_likely, ta_pgd
from torch_models import from_file

SEED, CHUNK = 1, 100
JSMA = ("jsma", "jsma-simple")
MEASURE = {"fgsm": "linf", "pgd": "linf", "jsma": "l0", "jsma-simple": "l0"}  # else l2


def attacks_of(model):
    """Rows (title, peers' attack, options), for networks that were not made robust: radii at which
    accuracy is neither all nor nothing."""
    digits = model in ("zcnn", "lenet")
    ball, ball2 = (0.1, 1.5) if digits else (2 / 255, 0.2)
    const, lr = (1.0, 0.05) if digits else (0.1, 0.01)
    return [
        ("fgsm", "fgsm", {"eps": ball}),
        ("pgd-20", "pgd", {"eps": ball, "steps": 20, "step": ball / 4}),
        ("pgd-40", "pgd", {"eps": ball, "steps": 40, "step": ball / 10}),
        ("pgdl2-20", "pgdl2", {"eps": ball2, "steps": 20, "step": ball2 / 8}),
        ("deepfool", "deepfool", {"steps": 50, "overshoot": 0.02, "candidates": 10}),
        ("cw", "cw", {"search": 5, "steps": 200, "c": const, "lr": lr}),
        ("ddn", "ddn", {"steps": 100, "init_norm": 1.0, "gamma": 0.05}),
        ("jsma", "jsma", {"theta": 1.0, "gamma": 0.125, "label": "least"}),
        ("jsma-simple", "jsma-simple", {"theta": 1.0, "gamma": 0.125, "label": "least"}),
    ]


def ours_of(attack, o):
    """The same in testudo's words, where they are not its defaults."""
    ascent = {"label": "true", "start": "uniform", "loss": "ce", "keep": "last"}
    pairs = {"jsma": "pairs", "jsma-simple": "simplified"}
    words = {
        "fgsm": {"name": "fgsm", "norm": "linf", "label": "true"},
        "pgd": {"name": "pgd", "norm": "linf", **ascent},
        "pgdl2": {"name": "pgd", "norm": "l2", **ascent},
        "deepfool": {"name": "deepfool", "form": "python", "label": "true", "box": "pixel"},
        "cw": {"name": "cw", "abort_early": False, "keep": "best", "label": "true"},
        "ddn": {"name": "ddn", "levels": 0, "label": "true"},
    }
    return words.get(attack, {"name": "jsma", "form": pairs.get(attack)}) | o


def literal(v):
    return f'"{v}"' if isinstance(v, str) else repr(v).lower()


def config_of(o, rows, skip, images, batch, directory):
    """A config of `testudo attack`."""
    lines = [f'run = {{ dir = "{directory}"; seed = {SEED}; }};',
             f'data = {{ file = "{os.path.abspath(o.data)}"; }};',
             f'model = {{ file = "{os.path.abspath(o.model)}"; }};',
             f"craft = {{ skip = {skip}; max = {images}; batch = {batch}; store = \"none\"; }};",
             "attack = ("]
    lines += [",\n".join("    { " + " ".join(f"{k} = {literal(v)};" for k, v in r.items()) + " }"
                         for r in rows), ");", ""]
    return "\n".join(lines)


def run_testudo(o, config, directory):
    """Seconds of `testudo attack`; its files are in the directory."""
    os.makedirs(os.path.dirname(os.path.abspath(directory)), exist_ok=True)
    path = f"{os.path.abspath(directory)}.cfg"
    with open(path, "w") as to:
        to.write(config)
    command = [os.path.abspath(o.testudo), "attack", path]
    if o.ranks > 1:
        command = ["mpirun", "--oversubscribe", "-n", str(o.ranks)] + command
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return time.perf_counter() - begin


def outcomes(directory, rows):
    """outcomes.tsv: for each attack a list of dicts of numbers, in the order of the images."""
    of = [[] for _ in rows]
    with open(f"{directory}/outcomes.tsv") as f:
        for line in csv.DictReader(f, delimiter="\t"):
            of[int(line["attack"])].append({k: float(v) for k, v in line.items()})
    with open(f"{directory}/attack.json") as f:
        names = [a["name"] for a in json.load(f)["attacks"]]
    if names != [r["name"] for r in rows]:
        sys.exit(f"{directory}/attack.json: attacks {names} are not those of the config")
    return of


def ours(o, rows, skip, images):
    """Outcomes of testudo, found or made."""
    directory = f"{o.runs}/{os.path.basename(o.data).split('.')[0]}-{images}-{hash_of(o.model)}"
    config = config_of(o, rows, skip, images, 32, os.path.abspath(directory))
    there = os.path.exists(f"{directory}/outcomes.tsv")
    if not there or not os.path.exists(f"{directory}.cfg") or \
            open(f"{directory}.cfg").read() != config:
        if there:
            sys.exit(f"{directory}: outcomes of another config; remove it or give other --runs")
        seconds = run_testudo(o, config, directory)
        print(f"# testudo: {len(rows)} attacks on {images} images took {seconds:.1f} s "
              f"on {o.ranks} rank(s)", flush=True)
    return outcomes(directory, rows)


def hash_of(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:12]


def images_of(path, images):
    """Every so-manieth image of the test split: x [N,C,H,W] f32 in [0,1], labels, step, hash."""
    with h5py.File(path) as f:
        skip = len(f["test/y"]) // images
        x = torch.from_numpy(f["test/x"][::skip][:images]).permute(0, 3, 1, 2).contiguous()
        y = torch.from_numpy(f["test/y"][::skip][:images]).long()
        name = f.attrs["hash"].decode()
    return (x.float() / 255 if x.dtype == torch.uint8 else x), y, skip, name


def classes_of(net, x):
    with torch.no_grad():
        return torch.cat([net(part).argmax(1) for part in x.split(CHUNK)])


def judge(net, x, y, clean, found, targets):
    """What testudo writes of an image: one dict each."""
    d = (found.double() - x.double()).flatten(1)
    predict = classes_of(net, found)
    columns = {"label": y, "clean": clean, "predict": predict, "target": targets,
               "l0": (d != 0).sum(1), "l2": d.norm(dim=1), "linf": d.abs().amax(1)}
    columns = {k: v.tolist() for k, v in columns.items()}
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def run_peer(net, x, y, attack, peer, options, double):
    """Its images, chunk by chunk, and seconds. With `double` it computes in f64."""
    torch.manual_seed(SEED)
    if double:
        net, x = copy.deepcopy(net).double(), x.double()
    begin = time.perf_counter()
    found = torch.cat([PEERS[attack][peer](net, a.clone(), b, options).detach()
                       for a, b in zip(x.split(CHUNK), y.split(CHUNK))]).float()
    seconds = time.perf_counter() - begin
    if found.dtype != torch.float32 or found.min() < 0 or found.max() > 1:
        sys.exit(f"{peer} {attack}: not f32 images in [0,1]")
    return found, seconds


class Cache:
    """Records {about, seconds, images}, found by all of `about`. Several processes may share it,
    one after the other adding to what is there."""

    def __init__(self, path):
        self.path, self.records = path, []
        self.read()

    def read(self):
        if self.path and os.path.exists(self.path):
            with open(self.path) as f:
                self.records = json.load(f)

    def find(self, about):
        return next((r for r in self.records if r["about"] == about), None)

    def add(self, record):
        self.read()
        self.records.append(record)
        if self.path:
            with open(self.path + ".new", "w") as to:
                json.dump(self.records, to)
            os.replace(self.path + ".new", self.path)
        return record


def peer_record(o, cache, network, data, attack, peer, options):
    name, net = network
    x, y, skip, data_hash = data
    about = {"model": name, "weights": hash_of(o.model), "data": data_hash, "skip": skip,
             "images": len(y), "attack": attack, "peer": peer, "options": options, "seed": SEED}
    about |= {"dtype": "f64"} if o.double else {}
    record = cache.find(about)
    if record is None:
        found, seconds = run_peer(net, x, y, attack, peer, options, o.double)
        targets = least_likely(net, x) if attack in JSMA else torch.full_like(y, -1)
        record = cache.add({"about": about, "seconds": seconds, "torch": torch.__version__,
                            "images": judge(net, x, y, classes_of(net, x), found, targets)})
    return record


def fooled(r):
    """Was right; is not now. One that is aimed at a class: has reached it."""
    reached = r["predict"] == r["target"] if r["target"] >= 0 else r["predict"] != r["label"]
    return r["clean"] == r["label"] and reached


def summary(rows, measure):
    norms = [r[measure] for r in rows if fooled(r)]
    return {"accuracy": 100 * sum(r["predict"] == r["label"] for r in rows) / len(rows),
            "fooled": 100 * len(norms) / len(rows),
            "norm": statistics.median(norms) if norms else float("nan")}


def both(mine, theirs, measure):
    """Images that one side alone fools, and the median ratio of norms where both do, in percent."""
    pairs = [(a[measure], b[measure]) for a, b in zip(mine, theirs)
             if fooled(a) and fooled(b) and b[measure] > 0]
    alone = [sum(fooled(a) and not fooled(b) for a, b in zip(*p))
             for p in ((mine, theirs), (theirs, mine))]
    ratio = statistics.median(a / b for a, b in pairs) if pairs else float("nan")
    return alone, 100 * (ratio - 1)


HEAD = ("model", "attack", "peer", "images", "accuracy ours", "peer", "points", "fooled ours",
        "peer", "only ours", "only peer", "norm", "median ours", "peer", "%", "paired %",
        "peer's s")


def line_of(model, title, attack, record, mine):
    measure = MEASURE.get(attack, "l2")
    theirs = record["images"]
    t = summary(theirs, measure)
    cells = [model, title, record["about"]["peer"], str(len(theirs)), "-", f"{t['accuracy']:.1f}",
             "-", "-", f"{t['fooled']:.1f}", "-", "-", measure, "-", f"{t['norm']:.5g}", "-", "-",
             f"{record['seconds']:.1f}"]
    if mine:
        m = summary(mine, measure)
        alone, paired = both(mine, theirs, measure)
        cells[4], cells[6] = f"{m['accuracy']:.1f}", f"{m['accuracy'] - t['accuracy']:+.1f}"
        cells[7], cells[9], cells[10] = f"{m['fooled']:.1f}", str(alone[0]), str(alone[1])
        cells[12], cells[14] = f"{m['norm']:.5g}", f"{100 * (m['norm'] / t['norm'] - 1):+.2f}"
        cells[15] = f"{paired:+.2f}"
    return cells


def show(o, cells):
    print("\t".join(cells) if o.tsv else "| " + " | ".join(cells) + " |", flush=True)


def check_same(title, mine, data):
    """Our rows are about the images that the peers attacked."""
    _, y, skip, _ = data
    if [int(r["idx"]) for r in mine] != [i * skip for i in range(len(y))] or \
            [int(r["label"]) for r in mine] != y.tolist():
        sys.exit(f"{title}: outcomes.tsv is about other images")


def compare_group(o, cache, network, rows, images):
    """Attacks that are run on so many images."""
    data = images_of(o.data, images)
    clean = classes_of(network[1], data[0])
    mine = {}
    if o.testudo:
        of = ours(o, [ours_of(*r[1:]) for r in rows], data[2], images)
        mine = {r[0]: lines for r, lines in zip(rows, of)}
        for title, lines in mine.items():
            check_same(title, lines, data)
        first = next(iter(mine.values()))
        differ = sum(int(r["clean"]) != c for r, c in zip(first, clean.tolist()))
        print(f"# {network[0]}: clean accuracy {100 * (clean == data[1]).float().mean():.1f} % of "
              f"{images} images; testudo and PyTorch differ on {differ}")
    for title, attack, options in rows:
        for peer in PEERS[attack]:
            record = peer_record(o, cache, network, data, attack, peer, options)
            show(o, line_of(network[0], title, attack, record, mine.get(title)))


def strength(o):
    network, cache = from_file(o.model), Cache(o.cache)
    rows = [r for r in attacks_of(network[0]) if not o.only or {r[0], r[1]} & set(o.only)]
    show(o, HEAD)
    if not o.tsv:
        show(o, ["---"] * len(HEAD))
    few = [r for r in rows if r[1] in JSMA]
    many = [r for r in rows if r[1] not in JSMA]
    for group, images in ((many, o.images), (few, o.jsma_images)):
        if group:
            compare_group(o, cache, network, group, images)


class Peer:
    """PGD of torchattacks on batches."""

    def __init__(self, net, x, y, batch, form, options):
        layout = torch.channels_last if form == "channels_last" else torch.contiguous_format
        self.net, self.options = net.to(memory_format=layout), options
        self.x = [part.to(memory_format=layout) for part in x.split(batch)]
        self.y = y.split(batch)

    def rate(self, seconds):
        """Images a second, over whole batches."""
        ta_pgd(self.net, self.x[0], self.y[0], self.options)
        begin, images, i = time.perf_counter(), 0, 0
        while time.perf_counter() - begin < seconds:
            ta_pgd(self.net, self.x[i], self.y[i], self.options)
            images += len(self.y[i])
            i = (i + 1) % len(self.x)
        return images / (time.perf_counter() - begin)


def our_rate(o, row, batch, images):
    """Images a second of `testudo attack`, its start and end taken off."""
    with tempfile.TemporaryDirectory() as d:
        least, all_of = (run_testudo(o, config_of(o, [row], 1, n, batch, f"{d}/{n}"), f"{d}/{n}")
                         for n in (1, images))
    return (images - 1) / (all_of - least)


def speed(o):
    print(f"# PGD-20, images a second, PyTorch {torch.__version__}, median of {o.rounds} rounds; "
          "(x ratio) testudo to the best peer of a round")
    # A copy of the network for each form: its layout is changed in place.
    name = from_file(o.model)[0]
    _, attack, options = next(r for r in attacks_of(name) if r[0] == "pgd-20")
    row = ours_of(attack, options)
    x, y, _, _ = images_of(o.data, 10000)
    for batch in o.batch:
        whole = x[:len(x) // batch * batch], y[:len(x) // batch * batch]
        sides = {f: Peer(from_file(o.model)[1], *whole, batch, f, options)
                 for f in ("eager", "channels_last")}
        rates = {form: [] for form in ("testudo", *sides)}
        images = max(2, int(o.seconds * sides["channels_last"].rate(min(2, o.seconds))))
        images = max(images // batch, 1) * batch
        for _ in range(o.rounds):
            rates["testudo"].append(our_rate(o, row, batch, images) if o.testudo else float("nan"))
            for form, side in sides.items():
                rates[form].append(side.rate(o.seconds))
        best = [max(v) for v in zip(*(rates[f] for f in sides))]
        ratio = statistics.median(a / b for a, b in zip(rates["testudo"], best))
        print(f"{name} batch {batch}: " + " | ".join(
            f"{f} {statistics.median(v):.1f}" for f, v in rates.items()) + f" (x {ratio:.2f})",
            flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True, help="model file of testudo's")
    p.add_argument("--data", required=True, help="data set of testudo's")
    p.add_argument("--testudo", help="the program; without it only the peers run")
    p.add_argument("--runs", help="directory for testudo's runs (default: a temporary one)")
    p.add_argument("--ranks", type=int, default=1)
    p.add_argument("--cache", help="JSON file of what peers did")
    p.add_argument("--only", nargs="*", help="titles or names of attacks")
    p.add_argument("--double", action="store_true", help="peers compute in f64; ours is f32")
    p.add_argument("--images", type=int, default=500)
    p.add_argument("--jsma-images", type=int, default=100)
    p.add_argument("--tsv", action="store_true", help="a table with tabs instead of Markdown")
    p.add_argument("--speed", action="store_true")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--batch", type=int, nargs="*", default=[8, 32, 128])
    p.add_argument("--seconds", type=float, default=10)
    o = p.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="testudo-attacks-") as scratch:
        o.runs = o.runs or scratch
        if o.speed:
            o.ranks = 1
            speed(o)
        else:
            strength(o)
    return 0


if __name__ == "__main__":
    sys.exit(main())
