"""The shapes in the signatures: checked in every test (see conftest), and here shown to be able to fail."""

import inspect

import jaxtyping
import lowerbound
import pytest
import torch
from conftest import SHAPED
from lowerbound.bound import Bound
from lowerbound.diffusion import Noised, l_simple
from lowerbound.nets import UNet
from lowerbound.schedule import cosine
from oracles import AnyDenoiser, toy_diffusion

X, T3 = torch.zeros(3, 2), torch.ones(3, dtype=torch.int64)
WRONG = {
    "other rows in t": lambda: toy_diffusion(AnyDenoiser(), 4).q_sample(X, T3[:2], X),
    "other pixels in eps": lambda: toy_diffusion(AnyDenoiser(), 4).q_sample(X, T3, X[:, :1]),
    "t in float": lambda: toy_diffusion(AnyDenoiser(), 4).q_sample(X, T3.float(), X),
    "whole images in a KL's place": lambda: Bound(X, X),
    "a flat image": lambda: UNet(width=8)(torch.zeros(3, 784), torch.zeros(3)),
    "a network whose answer has another shape": lambda: l_simple(
        toy_diffusion(AnyDenoiser(), 4), Noised(X, T3, X, X, X.sum(1))
    ),
    "a schedule in float32": lambda: cosine(4).__class__(cosine(4).alpha_bar.float()),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_shape_or_dtype_is_caught(name):
    with pytest.raises(jaxtyping.TypeCheckError):
        WRONG[name]()


def _public(module):
    """Functions, methods and their owners that the module defines and that take or give a tensor."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing) and not getattr(thing, "_is_protocol", False):
            for key, member in vars(thing).items():
                function = member.fget if isinstance(member, property) else member
                if inspect.isfunction(function) and (not key.startswith("_")):
                    yield f"{name}.{key}", function


@pytest.mark.parametrize("name", SHAPED)
def test_every_tensor_in_a_public_signature_has_a_shape(name):
    module = __import__(f"{lowerbound.__name__}.{name}", fromlist=["x"])
    found = 0
    for label, function in _public(module):
        for argument, annotation in inspect.get_annotations(inspect.unwrap(function)).items():
            assert annotation not in ("Tensor", "torch.Tensor", "Tensor | None"), f"{label}({argument})"
            found += "[Tensor, " in str(annotation)
    assert found or name == "bound", f"{name} has no shape in any signature"
