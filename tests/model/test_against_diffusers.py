"""The samplers against the schedulers of `diffusers`: the same network, the same noise, every state compared.

Its schedulers keep their tables in single precision, and the solver rounds each state to it. Within `double`
the same code computes in double precision, and what is left is rounding. The cosine schedule has more of it:
x̂_0 at the first step is an error of the network times 1/√ᾱ_T, which is 2e4, and most of that cancels again.
"""

import warnings
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler
from lowerbound import schedule
from lowerbound.diffusion import fixed_large, fixed_small
from lowerbound.samplers import ancestral, ddim, dpm_solver, heun
from oracles import AnyDenoiser, generator, toy_diffusion

T = 60
SCHEDULES = {"linear": (schedule.linear, 1e-12), "cosine": (schedule.cosine, 1e-9)}  # and how near they come
on_schedules = pytest.mark.parametrize("name", SCHEDULES)
in_steps = pytest.mark.parametrize("steps", [T, 12, 2])
clipped = pytest.mark.parametrize("clip", [False, True])


@contextmanager
def double():
    """Within it `diffusers` takes double precision where it asks for single."""
    with ExitStack() as stack:
        stack.enter_context(patch("torch.float32", torch.float64))
        stack.enter_context(patch("numpy.float32", np.float64))
        stack.enter_context(warnings.catch_warnings(action="ignore", category=DeprecationWarning))  # of numpy
        yield


def models(name: str, steps: int, clip: bool = False, variance=fixed_small):
    """Ours with all steps, whose levels `diffusers` is given, and ours with fewer of them."""
    whole = toy_diffusion(AnyDenoiser(), T, variance=variance, schedule=SCHEDULES[name][0](T))
    whole.clip = clip
    return whole, whole.respaced(steps)


def made(scheduler, whole, **options):
    """A scheduler with the betas of our schedule; our t is its t + 1."""
    with double():
        return scheduler(num_train_timesteps=T, trained_betas=whole.schedule.beta[1:].tolist(), **options)


def times(steps: int) -> list[int]:
    """The times of `Schedule.respace`, as `diffusers` counts them."""
    return [t * T // steps - 1 for t in range(steps, 0, -1)]


def walk(scheduler, whole, x, **options) -> list[torch.Tensor]:
    """What the scheduler makes of our network, state by state."""
    states = [x]
    with double():
        for t in scheduler.timesteps:
            level = whole.schedule.log_snr[int(t) + 1].expand(len(x))
            given = scheduler.scale_model_input(x, t)
            x = scheduler.step(whole.net(given, level), t, x, **options).prev_sample
            states.append(x)
    return states


def start() -> torch.Tensor:
    return torch.randn(5, 2, dtype=torch.float64, generator=generator(1))


def agree(ours, theirs, name: str) -> None:
    ours, theirs = torch.stack(list(ours)), torch.stack(list(theirs))
    assert theirs.dtype == torch.float64
    torch.testing.assert_close(ours, theirs, rtol=SCHEDULES[name][1], atol=SCHEDULES[name][1])


@on_schedules
@in_steps
@clipped
@pytest.mark.parametrize("variance", [fixed_small, fixed_large])
def test_ancestral_is_its_ddpm(name, steps, clip, variance):
    whole, model = models(name, steps, clip, variance)
    scheduler = made(DDPMScheduler, whole, variance_type=variance.__name__, clip_sample=clip)
    scheduler.set_timesteps(timesteps=times(steps))
    ours = list(ancestral(model, start(), generator()))
    theirs = walk(scheduler, whole, start(), generator=generator())
    if steps < T:  # it then adds noise at its last step too, whose time is not 0
        ours, theirs = ours[:-1], theirs[:-1]
    agree(ours, theirs, name)


@on_schedules
@in_steps
@clipped
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_is_its_ddim(name, steps, clip, eta):
    whole, model = models(name, steps, clip)
    scheduler = made(DDIMScheduler, whole, clip_sample=clip, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    options = {"eta": eta, "use_clipped_model_output": clip, "generator": generator()}
    ours = list(ddim(model, start(), eta, generator()))
    agree(ours, walk(scheduler, whole, start(), **options), name)


@on_schedules
@in_steps
def test_dpm_solver_is_its_multistep_solver(name, steps):
    whole, model = models(name, steps)
    scheduler = made(DPMSolverMultistepScheduler, whole, algorithm_type="dpmsolver++", solver_order=2)
    with double():
        scheduler.set_timesteps(timesteps=times(steps))
    agree(dpm_solver(model, start()), walk(scheduler, whole, start()), name)


@on_schedules
@in_steps
@clipped
def test_heun_is_its_heun(name, steps, clip):
    """Its states are x/√ᾱ, and every other one is the trial step."""
    whole, model = models(name, steps, clip)
    scheduler = made(HeunDiscreteScheduler, whole, clip_sample=clip)
    with double():
        scheduler.set_timesteps(timesteps=times(steps))
    scale = model.schedule.alpha_bar.flip(0).sqrt()
    states = walk(scheduler, whole, start() / scale[0])
    states = [*states[:-1:2], states[-1]]
    agree(heun(model, start()), [a * x for a, x in zip(scale, states, strict=True)], name)
