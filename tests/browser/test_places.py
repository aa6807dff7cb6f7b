"""The numbers and addresses that the checks' messages give are those of the built pages."""

import json

from lowerbound.checks.places import FILE, pointer

from tools.grading import places


def test_every_message_gives_the_number_that_the_page_shows_and_its_place():
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    assert stored == {"book": f"{places.address()}/book", "labels": places.read()}, (
        "run `python -m tools.grading places`"
    )


def test_a_pointer_is_a_number_and_an_address():
    number, address = pointer("eq-vae-kl").split(", ")
    assert number.startswith("equation (2.")
    assert address.endswith("/book/02_vae.html#equation-eq-vae-kl")
