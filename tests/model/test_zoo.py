"""The zoo: a model saved, loaded and refused when it is not what its card says."""

import json

import pytest
import torch
from lowerbound import data, zoo
from lowerbound.diffusion import l_bound, l_simple
from lowerbound.zoo import Architecture
from oracles import generator

TINY = {
    "vae": Architecture("vae", width=8, latents=4, beta=2.0),
    "ddpm": Architecture("ddpm", width=8, T=7, schedule="linear", objective="bound"),
    "classifier": Architecture("classifier", width=8),
}


def _exported(folder, kind):
    torch.manual_seed(1)
    model = zoo.build(TINY[kind])
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.1)
    return model, zoo.export(model, "tiny", TINY[kind], {"seconds": 1.5}, folder)


@pytest.mark.parametrize("kind", TINY)
def test_a_saved_model_comes_back_in_half_precision_and_eval_mode(tmp_path, kind):
    model, path = _exported(tmp_path, kind)
    assert path == tmp_path / "tiny.safetensors"
    loaded = zoo.load("tiny", tmp_path)
    assert type(loaded) is type(model)
    assert not loaded.training
    pairs = zip(model.state_dict().items(), loaded.state_dict().items(), strict=True)
    for (name, before), (other, after) in pairs:
        assert name == other
        assert after.dtype == torch.float32
        assert torch.equal(after, before.half().float())


def test_what_the_architecture_says_is_built(tmp_path):
    _exported(tmp_path, "ddpm")
    model = zoo.load("tiny", tmp_path)
    assert model.schedule.T == 7
    assert model.objective is l_bound
    _exported(tmp_path, "vae")
    model = zoo.load("tiny", tmp_path)
    assert (model.beta, model.latents) == (2.0, 4)
    assert zoo.build(Architecture("ddpm", width=8)).objective is l_simple


def test_a_loaded_model_gives_the_bound_of_what_was_saved(tmp_path):
    model, _ = _exported(tmp_path, "vae")
    model.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    x = data.to_unit(data.load("fashion-mnist", "test").x[:4])
    loaded = zoo.load("tiny", tmp_path)
    torch.testing.assert_close(loaded.bound(x, generator()).nats(), model.bound(x, generator()).nats())


def test_the_card_says_what_the_model_is(tmp_path):
    model, _ = _exported(tmp_path, "ddpm")
    card = zoo.card("tiny", tmp_path)
    assert card["name"] == "tiny"
    assert Architecture(**card["architecture"]) == TINY["ddpm"]
    assert card["seconds"] == 1.5
    assert card["weights"]["parameters"] == sum(p.numel() for p in model.parameters())
    json.loads((tmp_path / "tiny.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("at", [10, -10])
def test_damaged_weights_are_refused(tmp_path, at):
    _, path = _exported(tmp_path, "vae")
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not the file its card describes"):
        zoo.load("tiny", tmp_path)


def test_an_unknown_name_lists_the_names_there_are(tmp_path):
    for ask in (zoo.card, zoo.load):
        with pytest.raises(FileNotFoundError, match="nothing") as caught:
            ask("nothing")
        assert all(name in str(caught.value) for name in zoo.names())
    _exported(tmp_path, "vae")
    with pytest.raises(FileNotFoundError, match="tiny"):
        zoo.load("nothing", tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"model": "gan"}, "'vae', 'hvae', 'ddpm', 'prior' or 'classifier'"),
        ({"model": "ddpm", "schedule": "quadratic"}, "linear, cosine"),
        ({"model": "ddpm", "objective": "hinge"}, "simple, bound"),
    ],
)
def test_an_unknown_word_is_refused_with_the_known_ones(words, message):
    with pytest.raises(ValueError, match=message):
        Architecture(**words)


@pytest.mark.parametrize("name", zoo.names())
def test_every_shipped_model_loads_and_has_a_whole_card(name):
    model, card = zoo.load(name), zoo.card(name)
    assert {"architecture", "preset", "recipe", "data", "seconds", "commit", "torch", "hardware"} <= set(card)
    assert card["weights"]["parameters"] == zoo.parameters(model)
    assert card["metrics"]
