"""The U-Nets that are compared, of about equal size, each in its own library's manner.

A peer has `predict`, its network alone; `train`, steps of its training loop as the library ships it; and
`sample`, its own DDIM sampler. A library is imported when its class is instantiated, never before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader

T = 1000


def batches(x: Tensor, size: int) -> Iterator[Tensor]:
    """Shuffled batches without end, from float images that already lie in memory."""
    loader: Any = DataLoader(x, batch_size=size, shuffle=True, drop_last=True)
    while True:
        yield from loader


class Peer:
    """What all have in common; a peer overrides `predict`, `sample` and `_training`.

    imports: what a user's script has to import to train and to sample
    """

    name: ClassVar[str]
    imports: ClassVar[str]
    net: nn.Module

    def __init__(self, batch: int = 64) -> None:
        self.batch = batch
        self.loop: Iterator[Any] | None = None

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        """The network's output for x (B, 1, 28, 28) at times t (B,) in 0..999."""
        raise NotImplementedError

    def sample(self, n: int, steps: int) -> Tensor:
        """Draw n images by the library's own DDIM, (n, 1, 28, 28), in the precision that is its default."""
        raise NotImplementedError

    def _training(self, x: Tensor) -> Iterator[Any]:
        """The loop as shipped, from float images in [0, 1]; between two yields lies one step."""
        raise NotImplementedError

    def train(self, images: Tensor, steps: int) -> float:
        """Train as shipped on uint8 images. Returns the seconds of `steps` steps, set-up left out."""
        if self.loop is None:
            self.loop = self._training(images.float() / 255)
            next(self.loop)
            next(self.loop)  # the second step no longer allocates the optimiser's state
        start = time.perf_counter()
        for _ in range(steps):
            next(self.loop)
        return time.perf_counter() - start


class Diffusers(Peer):
    """UNet2DModel and the loop of its training tutorial, with the EMA of its example script."""

    name = "diffusers"
    imports = (
        "from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel; "
        "from diffusers.optimization import get_cosine_schedule_with_warmup; "
        "from diffusers.training_utils import EMAModel"
    )

    def __init__(self, batch: int = 64) -> None:
        super().__init__(batch)
        from diffusers import UNet2DModel

        self.net = UNet2DModel(
            sample_size=28,
            in_channels=1,
            out_channels=1,
            layers_per_block=2,
            block_out_channels=(32, 64, 64),
            norm_num_groups=8,
            attention_head_dim=16,
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        )

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        """See Peer."""
        return self.net(x, t, return_dict=False)[0]

    def _training(self, x: Tensor) -> Iterator[Any]:
        from diffusers import DDPMScheduler
        from diffusers.optimization import get_cosine_schedule_with_warmup
        from diffusers.training_utils import EMAModel

        scheduler = DDPMScheduler(num_train_timesteps=T)
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-4)
        plan = get_cosine_schedule_with_warmup(optimizer, num_warmup_steps=500, num_training_steps=50_000)
        average = EMAModel(self.net.parameters())
        for clean in batches(2 * x - 1, self.batch):
            noise = torch.randn(clean.shape)
            t = torch.randint(0, T, (len(clean),), dtype=torch.int64)
            loss = F.mse_loss(self.predict(scheduler.add_noise(clean, noise, t), t), noise)
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            optimizer.step()
            plan.step()
            optimizer.zero_grad()
            average.step(self.net.parameters())
            yield loss.item()

    @torch.no_grad()
    def sample(self, n: int, steps: int) -> Tensor:
        """See Peer."""
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler(num_train_timesteps=T)
        scheduler.set_timesteps(steps)
        x = torch.randn(n, 1, 28, 28)
        for t in scheduler.timesteps:
            x = scheduler.step(self.net(x, t).sample, t, x).prev_sample
        return x


class DenoisingDiffusion(Peer):
    """denoising-diffusion-pytorch: Unet, GaussianDiffusion, and the inner loop of its Trainer."""

    name = "denoising_diffusion_pytorch"
    imports = "from denoising_diffusion_pytorch import GaussianDiffusion, Trainer, Unet"

    def __init__(self, batch: int = 64) -> None:
        super().__init__(batch)
        from denoising_diffusion_pytorch import GaussianDiffusion, Unet

        self.net = Unet(dim=24, dim_mults=(1, 2, 4), channels=1)
        self.model = GaussianDiffusion(self.net, image_size=28, timesteps=T)

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        """See Peer."""
        return self.net(x, t)

    def _training(self, x: Tensor) -> Iterator[Any]:
        from ema_pytorch import EMA

        optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4, betas=(0.9, 0.99))
        average = EMA(self.model, beta=0.995, update_every=10)
        for clean in batches(x, self.batch):
            loss = self.model(clean)
            total = loss.item()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            average.update()
            yield total

    def sample(self, n: int, steps: int) -> Tensor:
        """See Peer."""
        from denoising_diffusion_pytorch import GaussianDiffusion

        model = GaussianDiffusion(self.net, image_size=28, timesteps=T, sampling_timesteps=steps)
        return model.sample(n)


class SmallDiffusion(Peer):
    """smalldiffusion: Unet, without its dropout, which no other has; its training_loop, its `samples`."""

    name = "smalldiffusion"
    imports = "from accelerate import Accelerator; from smalldiffusion import *"

    def __init__(self, batch: int = 64) -> None:
        super().__init__(batch)
        from accelerate import Accelerator
        from smalldiffusion import ScheduleDDPM, Unet

        self.net = Unet(28, 1, 1, 32, (1, 2, 2), num_res_blocks=2, attn_resolutions=(7,), dropout=0)
        self.schedule, self.accelerator = ScheduleDDPM(T), Accelerator(cpu=True)

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        """See Peer."""
        return self.net(x, self.schedule[t].view(-1, 1, 1, 1))

    def _training(self, x: Tensor) -> Iterator[Any]:
        from smalldiffusion import training_loop

        loader: Any = DataLoader(2 * x - 1, batch_size=self.batch, shuffle=True, drop_last=True)
        yield from training_loop(loader, self.net, self.schedule, accelerator=self.accelerator)

    def sample(self, n: int, steps: int) -> Tensor:
        """See Peer."""
        from smalldiffusion import samples

        sigmas = self.schedule.sample_sigmas(steps)
        *_, x0 = samples(self.net, sigmas, gam=1, mu=0, batchsize=n, accelerator=self.accelerator)
        return x0


class LowerBound(Peer):
    """This library: the network, recipe and precision of the preset ddpm-cpu, trained by `fit`."""

    name = "lowerbound"
    imports = "import lowerbound; from lowerbound import diffusion, fit, samplers, train, zoo"

    def __init__(self, batch: int = 64) -> None:
        super().__init__(batch)
        from lowerbound import zoo

        architecture, recipe = zoo.PRESETS["ddpm-cpu"]
        self.model: Any = zoo.build(architecture)
        self.net, self.recipe = self.model.net, replace(recipe, batch=batch)

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        """See Peer."""
        return self.model.predict_eps(x, t + 1)

    def train(self, images: Tensor, steps: int) -> float:
        """See Peer. `fit` is one call, so its clock is read whenever it asks for a loss."""
        from lowerbound.fit import default_loss, fit

        ticks: list[float] = []

        def loss(*arguments: Any) -> Tensor:
            ticks.append(time.perf_counter())
            return default_loss(*arguments)

        fit(self.model, images, replace(self.recipe, steps=steps + 3), loss=loss, progress=False)
        return ticks[steps + 2] - ticks[2]

    def sample(self, n: int, steps: int) -> Tensor:
        """See Peer."""
        from lowerbound.samplers import ddim

        return self.model.respaced(steps).sample(n, sampler=ddim)


PEERS: dict[str, type[Peer]] = {
    peer.name: peer for peer in (Diffusers, DenoisingDiffusion, SmallDiffusion, LowerBound)
}
