"""The networks for 28×28 images: encoder, decoder, ladder and U-Net.

Images are first folded 2×2 into channels (a patch stem), so that no convolution runs at 28×28:
that is worth most of the speed on a CPU. Every denoiser is called as `net(xt, log_snr)`, or with classes
as `net(xt, log_snr, y)`.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lowerbound.coordinates import eps_from_v
from lowerbound.likelihood import readable

MIN_LOG_SCALE = -7.0
LOG_SNR_RANGE = 20.0


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 8 groups, or as many as divide the channels."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


def _zero(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """Zero the layer, so that its block starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class NoiseLevel(nn.Module):
    """Embeds log SNR (B,) as (B, width): sinusoids at geometric frequencies, then two layers.

    log SNR is clamped to ±20 nats, which no 8-bit image can tell from the ends.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(-1.5, 0.7, width // 4), persistent=False)
        self.layers = nn.Sequential(nn.Linear(width // 2, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, log_snr: Float[Tensor, " B"]) -> Float[Tensor, "B width"]:
        """(B,) -> (B, width)."""
        angle = log_snr.clamp(-LOG_SNR_RANGE, LOG_SNR_RANGE).float()[:, None] * self.frequencies
        out: Tensor = self.layers(torch.cat([angle.sin(), angle.cos()], 1))
        return out


class ResBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut, scaled and shifted by the noise level when there is one.

    (B, c_in, H, W) and optionally (B, cond) -> (B, c_out, H, W). Ho et al. 2020, App. B.
    """

    def __init__(self, c_in: int, c_out: int, cond: int = 0) -> None:
        super().__init__()
        self.norm1, self.conv1 = group_norm(c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2, self.conv2 = group_norm(c_out), _zero(nn.Conv2d(c_out, c_out, 3, padding=1))
        self.film = nn.Linear(cond, 2 * c_out) if cond else None
        self.shortcut = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(
        self, x: Float[Tensor, "B c_in H W"], cond: Float[Tensor, "B cond"] | None = None
    ) -> Float[Tensor, "B c_out H W"]:
        """Apply the block."""
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        if self.film is not None and cond is not None:
            scale, shift = self.film(cond)[:, :, None, None].chunk(2, 1)
            h = h * (1 + scale) + shift
        out: Tensor = self.shortcut(x) + self.conv2(F.silu(h))
        return out


class SelfAttention(nn.Module):
    """Every position looks at every other. (B, C, H, W) -> (B, C, H, W). Ho et al. 2020, App. B."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.norm = heads, group_norm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), _zero(nn.Linear(channels, channels))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Apply the layer."""
        B, C, H, W = x.shape
        h = self.norm(x).flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, H·W, C)
        q, k, v = self.qkv(h).view(B, H * W, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        # 49 positions: two plain products beat torch's fused attention, whose backward is slow on a CPU.
        weights = torch.softmax(q @ k.transpose(2, 3) / (C // self.heads) ** 0.5, 3)
        h = (weights @ v).transpose(1, 2).reshape(B, H * W, C)
        out: Tensor = x + self.out(h).transpose(1, 2).view(B, C, H, W)
        return out


class UNet(nn.Module):
    """Predicts the noise ε in x_t, given log SNR(t), and given the class where it has any.

    xt (B, channels, 28, 28), log_snr (B,) -> (B, channels, 28, 28). Two levels after the patch stem,
    14×14 and 7×7, self-attention at the lower. H and W must be multiples of 4. Ho et al. 2020, App. B.

    Its last layer says v, of which `coordinates.eps_from_v` makes ε. Salimans & Ho 2022, App. D.
    """

    def __init__(self, channels: int = 1, width: int = 64, classes: int = 0) -> None:
        super().__init__()
        cond, wide = 2 * width, 2 * width
        self.channels, self.classes, self.multiple = channels, classes, 4
        self.noise_level = NoiseLevel(cond)
        self.label = nn.Embedding(classes + 1, cond) if classes else None  # row 0: no class
        self.stem = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.down = nn.ModuleList([ResBlock(width, width, cond), ResBlock(width, width, cond)])
        self.shrink = nn.Conv2d(width, wide, 3, stride=2, padding=1)
        self.middle = nn.ModuleList([ResBlock(wide, wide, cond), ResBlock(wide, wide, cond)])
        self.attention = nn.ModuleList([SelfAttention(wide), SelfAttention(wide)])
        self.grow = nn.Conv2d(wide, width, 1)
        self.up = nn.ModuleList([ResBlock(2 * width, width, cond), ResBlock(2 * width, width, cond)])
        self.norm, self.head = group_norm(width), _zero(nn.Conv2d(width, 4 * channels, 3, padding=1))

    def forward(
        self, xt: Float[Tensor, "B C H W"], log_snr: Float[Tensor, " B"], y: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B C H W"]:
        """Predict ε, in the dtype of xt whatever the precision inside. y: (B,) int64, −1 for no class.

        Raises ValueError for classes that the network was not built with.
        """
        cond = F.silu(self.noise_level(log_snr) + self._class(log_snr, y))
        h = self.stem(F.pixel_unshuffle(xt, 2))  # (B, C, 28, 28) -> (B, width, 14, 14)
        skips = []
        for block in self.down:
            h = block(h, cond)
            skips.append(h)
        h = self.shrink(h)  # -> (B, 2·width, 7, 7)
        for block, attend in zip(self.middle, self.attention, strict=True):
            h = attend(block(h, cond))
        h = F.interpolate(self.grow(h), scale_factor=2.0)  # -> (B, width, 14, 14)
        for block in self.up:
            h = block(torch.cat([h, skips.pop()], 1), cond)
        v = F.pixel_shuffle(self.head(F.silu(self.norm(h))), 2).to(xt.dtype)
        return eps_from_v(v, xt, log_snr)

    def _class(self, log_snr: Tensor, y: Tensor | None) -> Tensor | float:
        classes = self.label.num_embeddings - 1 if self.label is not None else 0
        seen = y is not None and (not classes or readable(y))
        if y is not None and seen and (int(y.min()) < -1 or int(y.max()) >= classes):
            raise ValueError(
                f"classes must be in -1..{classes - 1} (this network has {classes}; -1 is none), "
                f"got {int(y.min())}..{int(y.max())}"
            )
        if self.label is None:
            return 0.0
        out: Tensor = self.label(torch.zeros_like(log_snr, dtype=torch.int64) if y is None else y + 1)
        return out


class Encoder(nn.Module):
    """q(z | x) of the VAE: x (B, 1, 28, 28) -> mean and logvar, each (B, latents)."""

    def __init__(self, latents: int = 64, width: int = 64) -> None:
        super().__init__()
        wide = 2 * width
        self.latents, self.shape = latents, (1, 28, 28)
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4, width, 3, padding=1),
            ResBlock(width, width),
            nn.Conv2d(width, wide, 3, stride=2, padding=1),
            ResBlock(wide, wide),
            group_norm(wide),
            nn.SiLU(),
            nn.Conv2d(wide, 16, 1),
            nn.Flatten(),
            nn.Linear(16 * 7 * 7, 2 * latents),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Encode; logvar is kept within ±10 so that no exp overflows."""
        mean, logvar = self.layers(x).to(x.dtype).chunk(2, 1)
        return mean, logvar.clamp(-10, 10)


class Decoder(nn.Module):
    """p(x | z) of the VAE: z (B, latents) -> mean and log_scale of each pixel, each (B, 1, 28, 28)."""

    def __init__(self, latents: int = 64, width: int = 64) -> None:
        super().__init__()
        wide = 2 * width
        self.latents = latents
        self.layers = nn.Sequential(
            nn.Linear(latents, 16 * 7 * 7),
            nn.Unflatten(1, (16, 7, 7)),
            nn.Conv2d(16, wide, 1),
            ResBlock(wide, wide),
            ResBlock(wide, wide),
            nn.Upsample(scale_factor=2.0),
            nn.Conv2d(wide, width, 3, padding=1),
            ResBlock(width, width),
            ResBlock(width, width),
            group_norm(width),
            nn.SiLU(),
        )
        self.head = nn.Conv2d(width, 8, 3, padding=1)

    def forward(self, z: Float[Tensor, "B K"]) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B C H W"]]:
        """Decode; log_scale stays above −7, a fifth of a grey level."""
        return _pixels(self.head, self.layers(z).to(z.dtype))


def _pixels(last: nn.Module, h: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log_scale of each pixel from the last layer, in full precision."""
    with torch.autocast(h.device.type, enabled=False):  # bfloat16 is coarser than a grey level near ±1
        mean, log_scale = F.pixel_shuffle(last(h), 2).chunk(2, 1)
    return mean, MIN_LOG_SCALE + F.softplus(log_scale - MIN_LOG_SCALE)


class LadderLayer(nn.Module):
    """One latent of a hierarchical VAE: `latents` channels on the grid of the state.

    state, feature (B, width, h, w), z (B, latents, h, w)
    top: the prior is N(0, I); grow: the state leaves at twice the size, with `grow` channels

    The posterior is told as a change of the prior, which is where it starts: Vahdat & Kautz 2020, §3.2.
    """

    def __init__(self, width: int, latents: int, *, top: bool = False, grow: int = 0) -> None:
        super().__init__()
        self.latents = latents
        self.to_prior = None if top else self._gaussian(width)
        self.to_change = self._gaussian(2 * width)
        self.from_z, self.block = nn.Conv2d(latents, width, 1), ResBlock(width, width)
        self.leave: nn.Module = nn.Identity()
        if grow:
            self.leave = nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(width, grow, 3, padding=1))

    def _gaussian(self, width: int) -> nn.Module:
        last = nn.Conv2d(width, 2 * self.latents, 3, padding=1)
        nn.init.normal_(last.weight, std=1e-2)
        return nn.Sequential(group_norm(width), nn.SiLU(), last)

    def prior(
        self, state: Float[Tensor, "B W h w"]
    ) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B K h w"]]:
        """Mean and logvar of p(z_l | what lies above), each (B, latents, h, w); logvar within ±10."""
        if self.to_prior is None:
            zeros = state.new_zeros(len(state), self.latents, *state.shape[2:])
            return zeros, zeros
        mean, logvar = self.to_prior(state).to(state.dtype).chunk(2, 1)
        return mean, logvar.clamp(-10, 10)

    def posterior(
        self, state: Float[Tensor, "B W h w"], feature: Float[Tensor, "B W h w"]
    ) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B K h w"]]:
        """Mean and logvar of q(z_l | x, what lies above), each (B, latents, h, w); logvar within ±10."""
        mean, logvar = self.prior(state)
        change = self.to_change(torch.cat([state, feature.to(state.dtype)], 1))
        shift, stretch = change.to(state.dtype).chunk(2, 1)
        return mean + shift, (logvar + stretch).clamp(-10, 10)

    def absorb(
        self, state: Float[Tensor, "B W h w"], z: Float[Tensor, "B K h w"]
    ) -> Float[Tensor, "B V H2 W2"]:
        """What the layers below are told: the state with z in it, (B, width, h, w) or what it grows to."""
        out: Tensor = self.leave(self.block(state + self.from_z(z))).to(state.dtype)
        return out


class Ladder(nn.Module):
    """The networks of a hierarchical VAE of `depth` layers, from the blocks of `Encoder` and `Decoder`.

    The upper half of the layers lives on 7×7 with 2·width channels, the lower on 14×14 with width. What
    `features` reads from x (B, 1, 28, 28) every layer of a grid shares. Raises ValueError if depth < 1.
    """

    def __init__(self, depth: int = 4, latents: int = 4, width: int = 64) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth must be at least 1 layer, got {depth}")
        wide = 2 * width
        self.shape = (1, 28, 28)
        self.fine, coarse = depth // 2, depth - depth // 2
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(4, width, 3, padding=1), ResBlock(width, width)
        )
        self.shrink = nn.Sequential(nn.Conv2d(width, wide, 3, stride=2, padding=1), ResBlock(wide, wide))
        self.first = nn.Parameter(torch.zeros(1, wide, 7, 7))
        upper = [
            LadderLayer(wide, latents, top=i == 0, grow=width if i == coarse - 1 else 0)
            for i in range(coarse)
        ]
        self.layers = nn.ModuleList([*upper, *(LadderLayer(width, latents) for _ in range(self.fine))])
        self.last = nn.Sequential(ResBlock(width, width), group_norm(width), nn.SiLU())
        self.out = nn.Conv2d(width, 8, 3, padding=1)

    def features(self, x: Float[Tensor, "B C H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """What every layer's posterior sees of x, the top layer's first."""
        fine = self.stem(x)
        return [self.shrink(fine)] * (len(self.layers) - self.fine) + [fine] * self.fine

    def start(self, n: int) -> Float[Tensor, "{n} W h w"]:
        """The state above all latents: the same for every image."""
        return self.first.expand(n, -1, -1, -1)

    def head(
        self, state: Float[Tensor, "B W h w"]
    ) -> tuple[Float[Tensor, "B C H2 W2"], Float[Tensor, "B C H2 W2"]]:
        """Mean and log_scale of each pixel, each (B, 1, 28, 28), as `Decoder` gives them."""
        return _pixels(self.out, self.last(state).to(state.dtype))
