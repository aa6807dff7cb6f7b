"""Images a second in training and in sampling, in interleaved rounds; diffusers is 1."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from lowerbound import data, zoo
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import trange

from tools.bench.peers import PEERS, T
from tools.bench.settings import Settings

REFERENCE = "diffusers"
DDIM_STEPS = 20
Turn = Callable[[], float]  # does its work and says how many images a second


def rounds(turns: dict[str, Turn], count: int) -> dict[str, list[float]]:
    """Each turn once in each round, A B C D A B C D: a slow minute of the machine then hits all alike."""
    rates: dict[str, list[float]] = {name: [] for name in turns}
    for _ in trange(count, desc="rounds"):
        for name, turn in turns.items():
            rates[name].append(turn())
    return rates


def against(rates: dict[str, list[float]], reference: str) -> dict[str, dict[str, float]]:
    """Median rate of each, and its ratio to the reference in the same round: median, least, greatest."""
    out = {}
    for name, own in rates.items():
        ratios = [a / b for a, b in zip(own, rates[reference], strict=True)]
        out[name] = {
            "images_per_second": statistics.median(own),
            "ratio": statistics.median(ratios),
            "low": min(ratios),
            "high": max(ratios),
        }
    return out


def bare_step(
    predict: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    batch: int,
    steps: int,
    low: bool,
    side: int = 28,
) -> Turn:
    """Forward, mean squared error, backward, optimiser: the same for every network.

    low: under bfloat16 autocast; side: of the images
    """
    x, eps = torch.randn(batch, 1, side, side), torch.randn(batch, 1, side, side)
    t = torch.randint(0, T, (batch,))

    def turn() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                out = predict(x, t)
            loss = ((out.float() - eps) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return steps * batch / (time.perf_counter() - start)

    return turn


def measure(settings: Settings) -> dict[str, Any]:
    """Parameters, arithmetic, training and sampling of every peer."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    images = data.load("fashion-mnist", "train").x
    peers, bare = ({name: make(settings.batch) for name, make in PEERS.items()} for _ in range(2))
    models = {}
    for name, peer in peers.items():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            peer.predict(torch.randn(1, 1, 28, 28), torch.tensor([500]))
        models[name] = {
            "parameters": zoo.parameters(peer.net),
            "mflop": counter.get_total_flops() / 1e6,
        }

    def shipped(peer: Any) -> Turn:
        return lambda: settings.steps * settings.batch / peer.train(images, settings.steps)

    def drawn(peer: Any, low: bool) -> Turn:
        def turn() -> float:
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                peer.sample(settings.samples, DDIM_STEPS)
            return settings.samples / (time.perf_counter() - start)

        return turn

    turns: dict[str, Turn] = {}
    for name, peer in peers.items():
        turns[f"training shipped {name}"] = shipped(peer)
        turns[f"sampling shipped {name}"] = drawn(peer, False)
        turns[f"sampling bfloat16 {name}"] = drawn(peer, True)
        for kind in ("float32", "bfloat16"):
            network = bare[name]  # not the one whose loop stands still between two turns
            adam = torch.optim.Adam(network.net.parameters(), lr=1e-4)
            step = bare_step(network.predict, adam, settings.batch, settings.steps, kind == "bfloat16")
            turns[f"training {kind} {name}"] = step
    turns = dict(sorted(turns.items(), key=lambda item: item[0].split()[:2]))  # all peers of a kind in turn
    for turn in turns.values():
        turn()  # the first turn of each allocates, and is not counted
    rates = rounds(turns, settings.rounds)
    out: dict[str, Any] = {"models": models, "rounds": settings.rounds, "batch": settings.batch}
    out |= {"samples": settings.samples, "ddim_steps": DDIM_STEPS, "training": {}, "sampling": {}}
    for what, kind in dict.fromkeys(tuple(key.split()[:2]) for key in turns):
        out[what][kind] = against({name: rates[f"{what} {kind} {name}"] for name in peers}, REFERENCE)
    ours, theirs = rates["sampling bfloat16 lowerbound"], rates[f"sampling shipped {REFERENCE}"]
    mixed = against({"lowerbound": ours, REFERENCE: theirs}, REFERENCE)
    out["sampling"]["bfloat16_against_shipped"] = mixed["lowerbound"]
    return out
