"""Attacks of torchattacks, Foolbox and the Adversarial Robustness Toolbox, called the way that
comes nearest to testudo's: the same steps, step sizes and starting constants.

Each function takes (network on pixels, x [N,C,H,W] f32 in [0,1], labels [N], row of options) and
gives images [N,C,H,W]. Libraries are imported when they are needed. What differs from library to
library, read in torchattacks 3.5.1, Foolbox 3.3.4 and ART 1.20.1, is said at each.

Needs PyTorch and the libraries that are asked for: pip install torchattacks foolbox
adversarial-robustness-toolbox packaging.
"""
import torch


def least_likely(net, x):
    """The class that JSMA aims at here: no draw, and the same on both sides. (Without a word
    torchattacks aims at label + 1, cyclic, and ART at a random class.)"""
    with torch.no_grad():
        return net(x).argmin(1)


# torchattacks: the plain forms. Gradients of the mean cross entropy of the true label over the
# batch; returns the last iterate. PyTorch's f32 gradient is softmax - one-hot: where p is 1 in f32,
# the part of the true class cancels, and directions are off (f64 is not).

def ta_fgsm(net, x, y, o):
    import torchattacks
    return torchattacks.FGSM(net, eps=o["eps"])(x, y)


def ta_pgd(net, x, y, o):
    """Start uniform in the cube, clipped to the box; then step, ball, box."""
    import torchattacks
    return torchattacks.PGD(net, eps=o["eps"], alpha=o["step"], steps=o["steps"])(x, y)


def ta_pgdl2(net, x, y, o):
    """Start: a uniform direction with a length uniform in [0, eps], so denser in the middle than
    uniform in the ball; the gradient is divided by (norm + 1e-10), so that a sure network's barely
    moves."""
    import torchattacks
    return torchattacks.PGDL2(net, eps=o["eps"], alpha=o["step"], steps=o["steps"])(x, y)


def ta_deepfool(net, x, y, o):
    """Step from the last clipped point by (1 + overshoot) times the distance: overshoots add up.
    All classes, not the first few; image by image."""
    import torchattacks
    return torchattacks.DeepFool(net, steps=o["steps"], overshoot=o["overshoot"])(x, y)


def ta_jsma(net, x, y, o):
    """The paper's search over all pairs of features, on logits. Each feature is changed once, by
    theta, and then leaves the search, saturated or not; those at .99 or more are never in it, for
    ours those at 1: it spends changes on pixels of 253 or 254, which torchattacks skips. At most
    ceil(P gamma / 2) pairs; goes on with pair (0,0) when no pair is admissible, where the paper
    stops."""
    import torchattacks
    attack = torchattacks.JSMA(net, theta=o["theta"], gamma=o["gamma"])
    attack.set_mode_targeted_by_label(quiet=True)
    return attack(x, least_likely(net, x))


# Foolbox: minimum-norm attacks return the smallest perturbation that they met.

def foolbox(net, y):
    from foolbox import PyTorchModel, criteria
    return PyTorchModel(net, bounds=(0, 1), device="cpu"), criteria.Misclassification(y)


def fb_pgdl2(net, x, y, o):
    """Start uniform in the ball, so nearly on its surface in so many dimensions."""
    from foolbox.attacks import L2ProjectedGradientDescentAttack
    model, fooled = foolbox(net, y)
    attack = L2ProjectedGradientDescentAttack(abs_stepsize=o["step"], steps=o["steps"])
    return attack.run(model, x, fooled, epsilon=o["eps"])


def fb_deepfool(net, x, y, o):
    """As the authors' Python: the first few classes by clean logit, and each step starts anew from
    x + (1 + overshoot) times the sum of all steps. Its own: clipped to the box each time; 1e-4 is
    added to every step's length; stops when the label, not the clean prediction, is lost."""
    from foolbox.attacks import L2DeepFoolAttack
    model, fooled = foolbox(net, y)
    return L2DeepFoolAttack(steps=o["steps"], candidates=o["candidates"],
                            overshoot=o["overshoot"]).run(model, x, fooled)


def fb_cw(net, x, y, o):
    """As the authors': tanh space of .999999 (2 x - 1); ||x' - x||^2 + c max(margin + confidence,
    0), the distance from what tanh makes of x itself; Adam anew for every c; c: times ten until it
    fools, then bisection. Keeps the smallest of all that fooled. Stopping early looks at the sum
    over the batch, so it is off. Where nothing fooled it returns a black image: here that is x."""
    from foolbox.attacks import L2CarliniWagnerAttack
    model, fooled = foolbox(net, y)
    attack = L2CarliniWagnerAttack(binary_search_steps=o["search"], steps=o["steps"],
                                   stepsize=o["lr"], initial_const=o["c"], confidence=0,
                                   abort_early=False)
    found = attack.run(model, x, fooled)
    black = (found == 0).flatten(1).all(1).view(-1, 1, 1, 1)
    return torch.where(black, x, found)


def fb_ddn(net, x, y, o):
    """As the paper, without its rounding to 256 levels. The last iterate is not looked at."""
    from foolbox.attacks import DDNAttack
    model, fooled = foolbox(net, y)
    return DDNAttack(init_epsilon=o["init_norm"], steps=o["steps"], gamma=o["gamma"]).run(
        model, x, fooled)


# ART.

def art_jsma(net, x, y, o):
    """No pairs: the two features with the largest gradients of the class aimed at. A feature leaves
    the search when it is saturated; stops when more than a share gamma was touched."""
    from art.attacks.evasion import SaliencyMapMethod
    from art.estimators.classification import PyTorchClassifier
    target = least_likely(net, x)
    net = PyTorchClassifier(net, torch.nn.CrossEntropyLoss(), tuple(x.shape[1:]), 10,
                            clip_values=(0.0, 1.0), device_type="cpu")
    attack = SaliencyMapMethod(net, theta=o["theta"], gamma=o["gamma"], batch_size=len(x),
                               verbose=False)
    return torch.from_numpy(attack.generate(x.numpy(), target.numpy()))


# Which library for which attack, the best fit first. FGSM and PGD L-inf are one definition in all
# three. PGD L2 differs in its start alone: both. DeepFool: Foolbox follows the authors,
# torchattacks does not; both. C&W: only Foolbox has the search for c and Adam (torchattacks has one
# c, ART a line search of its own). DDN: only Foolbox. JSMA: torchattacks has the paper's pairs, ART
# the two largest gradients.
PEERS = {
    "fgsm": {"torchattacks": ta_fgsm},
    "pgd": {"torchattacks": ta_pgd},
    "pgdl2": {"torchattacks": ta_pgdl2, "foolbox": fb_pgdl2},
    "deepfool": {"foolbox": fb_deepfool, "torchattacks": ta_deepfool},
    "cw": {"foolbox": fb_cw},
    "ddn": {"foolbox": fb_ddn},
    "jsma": {"torchattacks": ta_jsma},
    "jsma-simple": {"art": art_jsma},
}
