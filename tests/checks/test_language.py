"""What the library says, in Vietnamese: nothing is left out, and what is not a message stays."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from babel.messages.pofile import read_po
from lowerbound import checks, language, proofs, train, zoo
from lowerbound.clinic import checkup
from lowerbound.language import FIELD, say
from lowerbound.symbolic import StepError
from lowerbound.symbolic.sheet import answer

from tools.publish import messages, parity

ROOT = Path(__file__).parents[2]
ENTRIES = language.read((ROOT / messages.TABLE).read_text(encoding="utf-8"))
# Words that no Vietnamese text has, and no formula.
ENGLISH = re.compile(
    r"\b(?:the|is|are|was|not|of|it|and|to|by|that|this|where|with|belongs|stands|right)\b"
)
CODE = re.compile(r"`[^`]*`|[\w.]+\([^)]*\)|where=|where \w+ [>=]|\{[^}]*\}")  # in an entry
NOTEBOOKS = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "notebooks/assignments").glob("*.ipynb")]


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(language.VARIABLE, raising=False)
    yield
    language.use(None)


def vi(text: str) -> str:
    return say(text, "vi")


# The table


def test_everything_that_can_be_said_has_its_entry() -> None:
    assert len(messages.messages()) > 1200
    assert len(messages.reasons()) > 200
    assert messages.missing() == {}


def test_the_table_holds_nothing_that_is_said_no_more() -> None:
    with (ROOT / messages.TABLE).open("rb") as file:
        catalogue = read_po(file, abort_invalid=True)
    entries = {entry.id: entry for entry in catalogue if entry.id}
    assert {key: entry.string for key, entry in entries.items()} == ENTRIES, "as gettext reads it"
    families = tuple(f"lib/lowerbound/{name}/" for name in messages.FAMILIES)
    modules = tuple(f"lib/lowerbound/{name}.py" for name in (*messages.CHECKUP, *messages.REFUSING))
    of_these = {
        key for key, entry in entries.items() if entry.locations[0][0].startswith((*families, *modules))
    }
    assert of_these - set(messages.messages()) == set()
    assert messages.NOT_SAID - set(messages.texts()) == set()
    assert messages.NOT_SAID & set(ENTRIES) == set()


def test_an_entry_has_the_same_fields_rows_and_spaces_on_both_sides() -> None:
    for key, own in ENTRIES.items():
        assert set(FIELD.findall(key)) == set(FIELD.findall(own)), key
        assert key.count("\n") == own.count("\n"), key
        assert [key[0] == " ", key[-1] == " "] == [own[0] == " ", own[-1] == " "], key
        assert own == unicodedata.normalize("NFC", own), key
        assert not parity.MISPLACED.findall(own), own
        assert not ENGLISH.search(CODE.sub("", own)), own


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        (
            "symbolic/sheet.py",
            '"write a condition as in: where a > b, or where t = 2..T"',
            'f"no condition is {text!r}"',
            "no condition is {text}",
        ),
        (
            "checks/engine.py",
            'f"{self.name} is not written yet."',
            'f"{self.name} is still to be written."',
            "{name} is still to be written.",
        ),
        (
            "checks/a1_bound.py",
            '"the bound does not rise in this step."',
            '"it does not rise."',
            "it does not rise.",
        ),
        (
            "checks/a1_bound.py",
            '"log s has the wrong sign":',
            '"the sign of log s is wrong":',
            "the sign of log s is wrong",
        ),
        ("checks/diagnosis.py", '"larger" if', '"greater" if', "greater"),
        (
            "checkup_vae.py",
            '"mu or logvar is NaN or infinite"',
            '"mu or logvar is no number"',
            "mu or logvar is no number",
        ),
        (
            "checkup_diffusion.py",
            '"the fourth root": (',
            '"the root of the root": (',
            "the root of the root",
        ),
        (
            "train.py",
            "threads must be at least 1; got",
            "there must be a thread; got",
            "there must be a thread; got {threads}",
        ),
        (
            "entry.py",
            "got {given} without channels; use x[:, None]",
            "and has no channels",
            "x must be {wanted}, and has no channels",
        ),
    ],
)
def test_a_planted_message_without_an_entry_is_found(file: str, old: str, new: str, found: str) -> None:
    text = (ROOT / "lib/lowerbound" / file).read_text(encoding="utf-8")
    assert old in text
    known = {*ENTRIES, *messages.NOT_SAID}
    assert set(messages.said(text)) - known == set()
    assert set(messages.said(text.replace(old, new))) - known == {found}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("d.step(2 * a, 'twice over, $a$ goes')", {"twice over, $a$ goes"}),
        ("d.at_least(0, reason='squares sum up')", {"squares sum up"}),
        ("d.step(E(q, p(X)), 'Thales').step(a, 'collect')", {"Thales"}),
        ("d.step(2 * a, '$a + a = 2a$'); d.step(a, 'collect $a$')", set()),
        ("print('not a reason')", set()),
    ],
)
def test_a_planted_reason_without_an_entry_is_found(source: str, found: set[str]) -> None:
    assert {reason for reason in messages.reasons_in(source) if messages.unsaid(reason, ENTRIES)} == found


def test_a_reason_planted_in_a_notebook_is_found(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    source = ["%pip install nothing\n", "d.step(a, 'by the stars')\n"]
    cells = [{"cell_type": "markdown", "source": ["d"]}, {"cell_type": "code", "source": source}]
    (tmp_path / "notebooks" / "lab.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert messages.reasons(tmp_path) == {"by the stars": "notebooks/lab.ipynb, cell 1"}


# The checks


def test_every_known_mistake_is_named_in_vietnamese() -> None:
    told, english = 0, []
    for group in (*checks.ASSIGNMENTS.values(), *checks.LABS.values()):
        for check in group:
            for _, says, _, _ in check.variants() if isinstance(check, checks.Check) else ():
                told += 1
                own = vi(f"{check.name} is not right yet: {says}").removeprefix(check.name)
                if ENGLISH.search(own) or not own.startswith(" chưa đúng: "):
                    english.append(own)
    assert told > 2500
    assert english == []


def message(check: Any, function: Callable[..., Any]) -> str:
    with pytest.raises(checks.CheckError) as caught:
        check(function)
    return str(caught.value)


FUNCTIONS: list[tuple[Any, Callable[..., Any], str]] = [
    (
        checks.coin_bound,
        lambda a, b, r: r * math.log(a / r),
        "coin_bound chưa đúng: thiếu số hạng của đồng xu hai mặt ngửa.\n"
        "Hãy thử: coin_bound(*checks.coin_bound.case(1))\n"
        "Nó đã được gọi với 0.2916, 0.4539, 0.4634.\n"
        "Xem phương trình (1.13), https://lower-bound.github.io/lower-bound/book/vi/01_elbo.html"
        "#equation-eq-elbo-two-states.",
    ),
    (
        checks.coin_bound,
        lambda a, b, r: a + b,
        "coin_bound chưa đúng: kết quả của nó không phụ thuộc vào `r`, mà lẽ ra phải phụ thuộc.",
    ),
    (
        checks.kl,
        lambda mean, logvar: (mean**2).sum(),
        "kl chưa đúng: nó trả về kích thước (shape) (), lẽ ra phải trả về (5,): một số cho tất cả. "
        "Hãy trả về một số cho mỗi mẫu, không trộn lẫn chúng.",
    ),
    (
        checks.kl,
        lambda mean, logvar: mean[:, :1].expand_as(mean).pow(2).sum(1) / 2
        + (logvar.exp() - logvar - 1).sum(1) / 2,
        "kl chưa đúng: kết quả này đúng cho mean đầu tiên của mỗi mẫu, cho mọi phần tử của mẫu ấy "
        "thay cho `mean`.",
    ),
    (
        checks.kl,
        lambda mean, logvar: (mean**2)[7],
        "kl chưa đúng: nó gây ra lỗi IndexError: index 7 is out of bounds for dimension 0 with size 5 "
        "alpha_bar có T + 1 phần tử, và phần tử cuối là alpha_bar[T].",
    ),
    (
        checks.best_encoder,
        lambda x, w, s: None,
        "best_encoder chưa đúng: nó phải trả về 2 giá trị, dưới dạng một tuple, mà lại trả về "
        "không trả về gì (có phải thiếu `return`?).",
    ),
    (
        checks.copy_ratio,
        lambda samples, train: torch.cdist(samples, train).min(1).values,
        "copy_ratio chưa đúng: đây chỉ là khoảng cách, và nó không nói gì nếu thiếu thang đo: hãy chia cho "
        "khoảng cách đến mẫu gần thứ hai.",
    ),
]


@pytest.mark.parametrize(("check", "function", "said"), FUNCTIONS)
def test_a_wrong_function_is_told_in_vietnamese(check: Any, function: Any, said: str) -> None:
    english = message(check, function)
    assert english.startswith(f"{check.name} is not right yet: ")
    assert vi(english).startswith(said)
    language.use("vi")
    assert message(check, function) == vi(english)
    assert vi(vi(english)) == vi(english)


def test_tensors_and_numbers_of_a_call_are_described() -> None:
    language.use("vi")
    row = message(checks.kl, lambda mean, logvar: mean.sum(1)).split("\n")[-2]
    assert row == (
        "Nó đã được gọi với một tensor có kích thước (5, 20), bắt đầu bằng -2.31, "
        "một tensor có kích thước (5, 20), bắt đầu bằng 0.3852."
    )


def test_what_is_right_and_what_is_not_written_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    language.use("vi")

    def best_guess(a: float, b: float) -> float:
        raise NotImplementedError

    checks.best_guess.ask(best_guess)
    checks.best_guess(lambda a, b: a / (a + b))
    assert capsys.readouterr().out == "best_guess chưa được viết.\nbest_guess: đúng tại 4 điểm ngẫu nhiên.\n"


# The engine

SHEETS = {
    "densities p(x, z), q(z | x)\nlog p(x)\n= E_{q(z | x)}[log p(x, z)]": (
        "dòng 2 của 'sheet' không suy ra được từ dòng 1 (chưa nêu lý do)."
    ),
    "from elbo\n\nlog(p(x))\n= 2*log(p(x))  # product rule": (
        "dòng 2 của 'elbo' không suy ra được từ dòng 1"
    ),
    "letters a, b\na + b\n= a - b  # collect": "gợi ý: hãy xem dấu của -b.",
    "letters a\nsqrt(a)\n= a": "nên dòng 1 không bằng dòng 2.",
    "letters a, b\n1/(a - b)\n= 1/(a - b) + 0*a": "",
    "letters a\na*(": "dòng dừng quá sớm: thiếu gì đó ở cuối",
    "letters a\na\n= bb": "ở đây không có chữ 'bb'; chỉ có a",
    "p(x)": "ở đây không có hàm hoặc mật độ 'p'; có phải bạn muốn viết exp?",
    "letters a\na\nb": "từ dòng thứ hai trở đi, mỗi dòng bắt đầu bằng =, >=, <=, ->, ~ hoặc :=",
    "letters a\nint(a, a)\n= a": (
        "dòng 1 của 'sheet': dòng này: Integral theo a cần có hai đầu, như (z, a, b)."
    ),
    "densities p(x, z), q(z | x)\nlog E_{q(z | x)}[p(x, z)]\n= E_{q(z | x)}[log p(x, z)]": (
        "gợi ý: logarit là hàm lõm: log(E_{q(z | x)}[p(x, z)]) >= E_{q(z | x)}[log(p(x, z))], "
        "theo bất đẳng thức Jensen."
    ),
    "densities p(z)\ngiven p(z) = N(z; 0, -1)\nlog p(z)": (
        "Normal(x, mean, variance) cần phương sai dương; ở đây là -1"
    ),
    "from nothing": "sách không có chuỗi biến đổi 'nothing'; chỉ có ",
    "letters a > 0\n1/a\n-> 1 as a -> oo": "giới hạn của dòng 1 là 0",
}


@pytest.mark.parametrize("sheet", SHEETS)
def test_the_engines_answer_is_vietnamese(sheet: str) -> None:
    english = answer(sheet, proofs.derivations())["message"]
    assert SHEETS[sheet] in vi(english)
    for row in vi(english).split("\n"):
        assert not ENGLISH.search(re.sub(r"'[^']*'|\x1b\[\d+m|chỉ có .*|where=", "", row)), row
    assert re.findall(r"[\d.]{3,}", vi(english)) == re.findall(r"[\d.]{3,}", english), "numbers stay"


def test_a_refused_line_shows_in_a_notebook_with_its_colours() -> None:
    elbo = proofs.derivations()["elbo"]
    with pytest.raises(StepError) as caught:
        elbo().change(3, 2 * elbo().steps[2].expr)
    english = "\n".join(caught.value._render_traceback_())
    language.use("vi")
    own = "\n".join(caught.value._render_traceback_())
    assert own == vi(english)
    assert own.startswith("StepError: dòng 3 của 'elbo' không suy ra được từ dòng 2 (")
    assert re.findall("\x1b[^m]*m", own) == re.findall("\x1b[^m]*m", english) != []


# Where it is said


def test_the_language_is_chosen_by_a_call_or_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert language.languages() == ["en", "vi"]
    assert language.chosen() == "en"
    for value, chosen in {"vi": "vi", "vi_VN.UTF-8": "vi", "VI": "vi", "fr": "en", "": "en"}.items():
        monkeypatch.setenv(language.VARIABLE, value)
        assert language.chosen() == chosen
    monkeypatch.setenv(language.VARIABLE, "vi")
    language.use("en")
    assert say("kl is not written yet.") == "kl is not written yet."
    language.use(None)
    assert say("kl is not written yet.") == "kl chưa được viết."
    with pytest.raises(ValueError, match="there are messages in en, vi, and none in 'fr'"):
        language.use("fr")


def test_a_terminal_with_the_variable_speaks_vietnamese() -> None:
    code = "import sympy; from lowerbound.symbolic import Derivation; a = sympy.Symbol('a', real=True); "
    code += "Derivation('d', a).step(2 * a, 'collect')"
    environment = os.environ | {language.VARIABLE: "vi", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8"
    )
    assert "StepError: dòng 2 của 'd' không suy ra được từ dòng 1 (gom lại)." in done.stderr


def test_a_derivation_is_printed_with_its_reasons_in_vietnamese() -> None:
    elbo = proofs.derivations()["elbo"]()
    english = elbo.latex(), repr(elbo), elbo.how()
    language.use("vi")
    own = elbo.latex(), repr(elbo), elbo.how()
    for before, after in zip(english, own, strict=True):
        assert "definition of KL" in before
        assert "định nghĩa của KL" in after
        assert "definition of KL" not in after
    assert vi(english[1]) == own[1], "as a stored output is shown"
    language.use(None)
    assert (elbo.latex(), repr(elbo), elbo.how()) == english


CELL = """
import sympy
from lowerbound import data, language
from lowerbound.symbolic import Derivation
{use}
"""


RAISED = {
    "Derivation('d', a).step(2 * a)": "TypeError: step(expr, reason) cần một lý do bằng lời",
    "data.to_unit(sympy)": "AttributeError: module 'sympy' has no attribute 'dtype'",
    "int('the')": "ValueError: invalid literal for int() with base 10: 'the'",
    "import torch; data.to_unit(torch.zeros(2))": "TypeError: x phải là uint8, nhưng lại là torch.float32; "
    "ảnh đã nằm trong [-1, 1] thì không cần đổi tỉ lệ",
}


@pytest.mark.parametrize("use", ["", 'language.use("vi")', "%env LOWERBOUND_LANGUAGE=vi"])
def test_a_notebook_shows_the_librarys_errors_in_vietnamese(use: str) -> None:
    shell = "from IPython.core.interactiveshell import InteractiveShell as Shell; "
    cells = [CELL.format(use=use)]
    for raises in RAISED:
        cells += [f"a = sympy.Symbol('a', real=True)\n{raises}", "print('-- next')"]
    code = f"{shell}shell = Shell.instance(colors='NoColor'); [shell.run_cell(cell) for cell in {cells!r}]"
    environment = {k: v for k, v in os.environ.items() if k != language.VARIABLE}
    environment |= {"PYTHONIOENCODING": "utf-8"} | ({} if use else {language.VARIABLE: "vi"})
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8"
    )
    shown = done.stdout.split("-- next\n")[: len(RAISED)]
    assert len(shown) == len(RAISED)
    for said, text in zip(RAISED.values(), shown, strict=True):
        assert said in text.strip().split("\n")[-1]


def test_the_command_line_refuses_in_vietnamese(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = {
        ("vae-tiny",): "tham số PRESET: không có lựa chọn 'vae-tiny' (hãy chọn trong ",
        (): "thiếu các tham số bắt buộc: PRESET",
        ("vae-smoke", "--threads", "0"): "threads phải ít nhất là 1; nhưng lại là 0",
        ("vae-smoke", "--steps", "0"): "steps phải ít nhất là 1; nhưng lại là 0",
        ("vae-smoke", "--steps", "many"): "tham số --steps: 'many' không phải một giá trị kiểu int",
        ("vae-smoke", "--device", "abacus"): "không có thiết bị 'abacus'; hãy dùng cpu, cuda hoặc mps",
    }
    language.use("vi")
    for arguments, expected in said.items():
        with pytest.raises(SystemExit):
            train.main([*arguments])
        assert capsys.readouterr().err.startswith(f"lowerbound.train: lỗi: {expected}")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            "T = 50, 1 - ᾱ_1 = 0.1, ᾱ_T = 0.3: 55 per cent of the image is left in x_T, and samples start "
            "without it; rescale β to this T",
            "T = 50, 1 - ᾱ_1 = 0.1, ᾱ_T = 0.3: trong x_T còn lại 55 phần trăm của ảnh, mà mẫu xuất phát "
            "không có phần ấy; hãy đổi tỉ lệ β theo T này",
        ),
        (
            "both are means, over 784 pixels and 8 units; in place of sums this amounts to β = 98 "
            "See book/clinic.html#clinic-beta",
            "cả hai đều là trung bình, trên 784 điểm ảnh và 8 biến ẩn; so với khi lấy tổng thì như đặt "
            "β = 98 Xem vi/book/clinic.html#clinic-beta",
        ),
        (
            "t from 1 to 999 of 1000, and only 10 levels in all: the others are never learned",
            "t từ 1 đến 999 trong 1000, và tất cả chỉ có 10 mức: các mức khác không bao giờ được học",
        ),
        (
            "mean 0.3, standard deviation 0.2; the data have 0.3 and 0.12, by DDIM in these steps 0.2 and "
            "0.1: the steps leave noise in",
            "trung bình 0.3, độ lệch chuẩn 0.2; dữ liệu có 0.3 và 0.12, còn DDIM với các bước này cho 0.2 và "
            "0.1: các bước để sót nhiễu",
        ),
        ("Net: 7 right, 2 wrong", "Net: 7 đúng, 2 sai"),
    ],
)
def test_what_a_checkup_puts_together_is_said_part_by_part(found: str, said: str) -> None:
    assert language.say_parts(found, "vi") == said
    assert language.say_parts(found, "en") == found


def test_a_checkup_reports_in_vietnamese() -> None:
    rng = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(64, 1, 28, 28, generator=rng) - 1
    reports = [
        checkup(zoo.build(zoo.PRESETS["vae-smoke"][0]), x, trained=False),
        checkup(zoo.build(zoo.PRESETS["ddpm-smoke"][0]).respaced(50), (x + 1) / 2, trained=False),
        checkup(torch.nn.Linear(3, 2), x),
    ]
    english = [report._repr_html_() for report in reports]  # in whole rows
    language.use("vi")
    for before, report in zip(english, reports, strict=True):
        own = report._repr_html_()
        assert own != before
        assert re.search(r": \d+ đúng", repr(report))
        plain = re.sub(r"<[^>]*>|\w+Error: .*?(?=;)|[\w.]+\([^)]*\)|vi/book/\S+", " ", own)
        assert not ENGLISH.search(plain), plain
        assert re.findall(r"\d+\.\d+", own) == re.findall(r"\d+\.\d+", before), "numbers stay"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_of_stored_outputs_messages_alone_are_translated(notebook: Path) -> None:
    """What a Vietnamese page shows of them; an English word in a row would be of another text."""
    changed = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            plain = output.get("data", {}).get("text/plain")
            for row in "".join(output.get("text") or plain or output.get("traceback") or []).split("\n"):
                if (own := vi(row)) != row:
                    changed.append(own)
    assert [row for row in changed if ENGLISH.search(re.sub(r"\(\w.*\)|[\w^]+ ?[=|]", "", row))] == []
    assert changed or notebook.stem == "05_comparison"


@pytest.mark.parametrize(
    "text",
    [
        "", "KL = 1.27", "x_0 is 3", "line ELBO: 81 points, mean -4.14, from -8.78 to -2.53",
        "it touches log p(x) at r = 1/9.", "12 units; in place of sums this amounts to 2",
    ],
)  # fmt: skip
def test_what_is_no_message_stays(text: str) -> None:
    assert vi(text) == text


def test_a_name_in_a_message_stays_though_it_is_a_word_of_the_table() -> None:
    assert vi("`mean` and `sum` have changed places.") == "`mean` và `sum` đã đổi chỗ cho nhau."
    assert vi("mean is not written yet.") == "mean chưa được viết."
