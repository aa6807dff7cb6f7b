"""What the speed of our U-Net comes from: the bare step with one thing changed at a time."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

import torch
from lowerbound import zoo
from lowerbound.nets import SelfAttention
from lowerbound.schedule import cosine
from lowerbound.zoo import PRESETS
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tools.bench.settings import Settings
from tools.bench.speed import Turn, against, bare_step, rounds


class FusedAttention(nn.Module):
    """The same layer through torch's fused attention."""

    def __init__(self, layer: SelfAttention) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        B, C, H, W = x.shape
        heads = self.layer.heads
        h = self.layer.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.layer.qkv(h).view(B, H * W, 3, heads, C // heads).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, H * W, C)
        return x + self.layer.out(h).transpose(1, 2).view(B, C, H, W)


def measure(settings: Settings, compiled: bool) -> dict[str, Any]:
    """Training rates of the variants; "shipped", in bfloat16 with fused Adam, is 1."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    whole: Any = zoo.build(PRESETS["ddpm-cpu"][0])
    level = cosine(1000).log_snr.float()
    turns: dict[str, Turn] = {}

    def variant(name: str, net: nn.Module, low: bool = True, fused: bool = True, side: int = 28) -> None:
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=fused)
        batch, steps = settings.batch, settings.steps
        turns[name] = bare_step(lambda x, t: net(x, level[t + 1]), optimizer, batch, steps, low, side)

    fused_attention = deepcopy(whole.net)
    fused_attention.attention = nn.ModuleList([FusedAttention(layer) for layer in fused_attention.attention])
    variant("shipped", deepcopy(whole.net))
    variant("float32", deepcopy(whole.net), low=False)
    variant("unfolded", deepcopy(whole.net), side=56)  # folded 2×2, this runs at 28×28 and 14×14
    variant("fused_attention", fused_attention)
    variant("plain_adam", deepcopy(whole.net), fused=False)
    variant("channels_last", deepcopy(whole.net).to(memory_format=torch.channels_last))
    if compiled:
        variant("compiled", torch.compile(deepcopy(whole.net)))
    first = {}
    for name, turn in turns.items():
        start = time.perf_counter()
        turn()
        first[name] = time.perf_counter() - start
    models = against(rounds(turns, settings.rounds), "shipped")
    if compiled:
        models["compiled"]["seconds_to_start"] = first["compiled"] - first["shipped"]
    return {"rounds": settings.rounds, "models": models}
