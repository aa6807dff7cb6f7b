"""Several processes that train one model: the part of each, and what they agree on.

`torchrun` starts them, on one machine or on several; torch's DistributedDataParallel averages gradients.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lowerbound.noise import Shard

Loss = Callable[[nn.Module, Tensor, Tensor | None, torch.Generator], Tensor]
TIMEOUT = timedelta(minutes=5)


class _Loss(nn.Module):
    """The loss as a module's forward, which is where DistributedDataParallel hooks in."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, x: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
        return self.loss(self.model, x, y, rng)


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together, and this one's place among them.

    rank: 0..size − 1, of all; local_rank: of those on this machine. By default one process, alone.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def chief(self) -> bool:
        """Whether this is the one that writes files and shows the bar."""
        return self.rank == 0

    def generator(self, seed: int, device: torch.device) -> Shard:
        """A generator of which every process has its part: together they draw what one process would."""
        rng = Shard(self.rank, self.size, device)
        rng.manual_seed(seed)
        return rng

    def part(self, rows: Tensor) -> Tensor:
        """This process's part of a batch. Raises ValueError if it cannot be shared in equal parts."""
        if len(rows) % self.size:
            raise ValueError(
                f"a batch of {len(rows)} cannot be shared by {self.size} processes; "
                f"choose a multiple of {self.size} (--batch)"
            )
        return rows.chunk(self.size)[self.rank]

    def shared(self, model: nn.Module, loss: Loss) -> Callable[..., Tensor]:
        """The loss of this process's part, whose gradients are averaged over the processes."""
        module = _Loss(model, loss)
        if self.size == 1:
            return module
        # log_width is without a gradient unless the objective is the bound
        return DistributedDataParallel(module, find_unused_parameters=hasattr(model, "log_width"))

    def agree(self, value: Tensor, norm: Tensor, asked: bool) -> tuple[float, float, bool]:
        """The mean of `value` over the processes, the norm they have in common, and whether any asked."""
        if self.size == 1:
            mean, common = torch.stack([value, norm]).tolist()
            return mean, common, asked
        both = torch.stack([value, torch.full_like(value, float(asked))])
        dist.all_reduce(both)
        total, common, count = torch.cat([both[:1], norm[None], both[1:]]).tolist()
        return total / self.size, common, count > 0

    def broadcast(self, content: bytes | None, device: torch.device) -> bytes | None:
        """The bytes that the chief has, for all: machines need not share a disk. None if it has none."""
        if self.size == 1:
            return content
        length = torch.tensor([-1 if content is None else len(content)], device=device)
        dist.broadcast(length, 0)
        if int(length) < 0:
            return None
        whole = torch.empty(int(length), dtype=torch.uint8, device=device)
        if content is not None:
            whole.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        dist.broadcast(whole, 0)
        return whole.cpu().numpy().tobytes()

    @contextmanager
    def chief_first(self) -> Iterator[None]:
        """Let the chief go first, then one process of each machine, then the others."""
        turn = 0 if self.chief else 1 if self.local_rank == 0 else 2
        for now in range(3 if self.size > 1 else 1):
            if now == turn:
                yield
            if self.size > 1:
                dist.barrier()


ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started, joined to each other; `ALONE` if it started none or one.

    Raises ConnectionError if the others do not answer, or one of them is gone.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    place = Processes(int(os.environ["RANK"]), size, int(os.environ["LOCAL_RANK"]))
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
        yield place
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise ConnectionError(
                "another of the processes is gone or cannot be reached; "
                "see its own message, then start all of them again with --resume"
            ) from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def local_device(name: str) -> torch.device:
    """The device of this name; on CUDA each process has its own. Raises ValueError if it is not there."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"there is no device {name!r}; use cpu, cuda or mps") from error
    if device.type == "cuda":
        there, local = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", "0"))
        if there == 0:
            raise ValueError(f"there is no CUDA device for {name!r}; use --device cpu")
        if device.index is None:
            device = torch.device("cuda", local)
        if (device.index or 0) >= there:
            raise ValueError(
                f"{device} is not among the {there} CUDA devices here; "
                f"start no more than {there} processes, or use --device cpu"
            )
        torch.cuda.set_device(device)
    if device.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"there is no device {name!r}; use cpu, cuda or mps")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("there is no Apple GPU for 'mps'; use --device cpu")
    return device
