"""The instructor sources of the assignments: marked for nbgrader, clean, with tests that can fail."""

import re

import pytest
import yaml
from lowerbound import checks
from lowerbound.checks.engine import Check
from lowerbound.checks.proved import PROOF_MISTAKES
from myst_parser.config.main import MdParserConfig
from myst_parser.mdit_to_docutils.base import DocutilsRenderer
from myst_parser.parsers.mdit import create_md_parser
from test_notebooks import LABS, ROOT, code_cells, faults, read, source

SOURCES = sorted((ROOT / "notebooks" / "assignments").glob("*.ipynb"))
MARKS = ("SOLUTION", "HIDDEN TESTS")
KEYS = {"schema_version", "grade", "solution", "locked", "task", "grade_id", "points", "cell_type"}
GRADED = [(name, check) for name, group in checks.ASSIGNMENTS.items() for check in group]
IDS = [f"{name}: {check.name}" for name, check in GRADED]
every = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
each = pytest.mark.parametrize(("name", "check"), GRADED, ids=IDS)


def about(cell):
    return cell["metadata"]["nbgrader"]


def cells_of(name):
    return {
        about(cell)["grade_id"]: cell for cell in read(ROOT / f"notebooks/assignments/{name}.ipynb")["cells"]
    }


def marked(text):
    """What is wrong with the markers of a cell, as lines."""
    wrong = []
    for mark in MARKS:
        found = re.findall(rf"^\s*### (BEGIN|END) {mark}$", text, re.M)
        if found != ["BEGIN", "END"] * (len(found) // 2):
            wrong.append(f"{mark}: {found}")
        if len(re.findall(mark, text)) != len(found):
            wrong.append(f"{mark} is misspelt or indented otherwise")
    return wrong


def test_there_is_an_assignment_for_each_chapter():
    assert [path.stem for path in SOURCES] == list(checks.ASSIGNMENTS)
    assert [path.stem[1] for path in SOURCES] == [lab.stem[1] for lab in LABS if lab.stem[0] == "0"]
    assert len(SOURCES) == 7


@every
def test_every_cell_is_marked_for_nbgrader(path):
    found = read(path)["cells"]
    ids = [about(cell)["grade_id"] for cell in found]
    assert len(set(ids)) == len(ids)
    for cell in found:
        meta = about(cell)
        assert set(meta) <= KEYS
        assert (meta["schema_version"], meta["task"], meta["cell_type"]) == (3, False, cell["cell_type"])
        assert re.fullmatch(r"[\w-]+", meta["grade_id"])
        assert ("points" in meta) == meta["grade"]
        assert meta["locked"] != meta["solution"]


@every
def test_markers_are_balanced_and_where_they_belong(path):
    for cell in read(path)["cells"]:
        text, meta = source(cell), about(cell)
        assert marked(text) == [], meta["grade_id"]
        code = cell["cell_type"] == "code"
        assert ("BEGIN SOLUTION" in text) == (meta["solution"] and code), meta["grade_id"]
        assert ("BEGIN HIDDEN TESTS" in text) == (meta["grade"] and not meta["solution"]), meta["grade_id"]


@pytest.mark.parametrize(
    "text",
    [
        "### BEGIN SOLUTION\nx",
        "x\n### END HIDDEN TESTS",
        "## BEGIN SOLUTION\n### END SOLUTION",
        "### END SOLUTION\n### BEGIN SOLUTION",
    ],
)
def test_a_marker_too_few_is_found(text):
    assert marked(text)


@every
def test_points_add_up_and_most_are_given_by_tests(path):
    graded = [about(cell) for cell in read(path)["cells"] if about(cell)["grade"]]
    by_tests = sum(meta["points"] for meta in graded if not meta["solution"])
    assert sum(meta["points"] for meta in graded) == 100
    assert by_tests > 50
    title = source(read(path)["cells"][1])
    assert f"{by_tests} points are given by tests, {100 - by_tests} by a reader." in title
    table = [row.rpartition("|")[0].rpartition("|")[2] for row in re.findall(r"^\| \d .*$", title, re.M)]
    assert sum(int(n) for cell in table for n in re.findall(r"\d+", cell)) == 100


@every
def test_it_says_what_is_learned_and_how_long_it_takes(path):
    cells = read(path)["cells"]
    title = source(cells[1])
    assert re.search(r"About [234] hours\. 100 points\.", title)
    assert "**What you will be able to do.**" in title
    assert f"book/0{path.stem[1]}_" in title
    assert source(cells[0]) == source(read(LABS[0])["cells"][0])


@every
def test_every_answer_that_a_person_grades_has_a_rubric(path):
    by_hand = [cell for cell in read(path)["cells"] if about(cell)["grade"] and about(cell)["solution"]]
    assert len(by_hand) >= 4
    for cell in by_hand:
        rubric = source(cell).partition("Rubric")[2]
        shares = [int(n) for n in re.findall(r"(?:^|[.,] |: |\n# )(\d+)(?=:? )", rubric.lstrip(".:* "))]
        assert shares, about(cell)["grade_id"]


@every
def test_no_rubric_stands_where_a_student_reads_it(path):
    for cell in read(path)["cells"]:
        if not (about(cell)["solution"] and cell["cell_type"] == "markdown"):
            shown = re.sub(r"### BEGIN SOLUTION.*?### END SOLUTION", "", source(cell), flags=re.S)
            assert "Rubric" not in shown, about(cell)["grade_id"]


@every
def test_it_was_run_and_is_clean(path):
    assert faults(read(path)) == []
    assert path.stat().st_size < 1_000_000
    assert any("figures.show" in source(cell) for cell in code_cells(read(path)) if about(cell)["locked"])


@each
def test_six_mistakes_of_everything_that_is_graded_are_known(name, check):
    assert len(check.mistakes if isinstance(check, Check) else PROOF_MISTAKES) >= 6


@each
def test_a_function_has_its_solution_its_check_and_its_hidden_test(name, check):
    cells = cells_of(name)
    assert f"def {check.name}(" in source(cells[check.name])
    assert source(cells[f"{check.name}-check"]).startswith(f"checks.{check.name}({check.name})")
    test = cells[f"{check.name}-test"]
    assert (about(test)["grade"], about(test)["solution"]) == (True, False)
    assert source(test).splitlines() == [
        f"# {check.name}: {about(test)['points']} points",
        "### BEGIN HIDDEN TESTS",
        f"checks.{check.name}.grade({check.name})",
        "### END HIDDEN TESTS",
    ]
    assert list(cells).index(check.name) < list(cells).index(f"{check.name}-test")


@pytest.mark.parametrize("name", checks.ASSIGNMENTS)
def test_every_hidden_test_belongs_to_a_check(name):
    tests = {
        key.removesuffix("-test")
        for key, cell in cells_of(name).items()
        if about(cell)["grade"] and not about(cell)["solution"]
    }
    assert tests == {check.name for check in checks.ASSIGNMENTS[name]}


@every
def test_no_cell_that_students_get_shows_where_the_answers_are(path):
    for cell in read(path)["cells"]:
        assert ".oracle" not in source(cell), about(cell)["grade_id"]


STUDENT = sorted((ROOT / "notebooks" / "assignments" / "student").glob("*.ipynb"))
MYST = yaml.safe_load((ROOT / "_config.yml").read_text())["parse"]["myst_enable_extensions"]
PARSER = create_md_parser(MdParserConfig(enable_extensions=MYST), DocutilsRenderer)


def texts(tokens):
    """The text that a page shows outside of its formulas, as the book's parser reads it."""
    for token in tokens:
        if token.type == "text":
            yield token.content
        yield from texts(token.children or [])


@pytest.mark.parametrize("path", [*SOURCES, *STUDENT], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_dollar_sign_is_left_as_text(path):
    """`$$ … $$` within a paragraph is read as two empty formulas; it stands between empty lines."""
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "markdown":
            left = [text for text in texts(PARSER.parse(source(cell))) if "$" in text]
            assert left == [], about(cell)["grade_id"]


def test_a_formula_that_would_show_dollar_signs_is_found():
    assert any("$" in text for text in texts(PARSER.parse("that\n$$x = 1.$$\n")))
    assert not any("$" in text for text in texts(PARSER.parse("that\n\n$$x = 1.$$\n\nand $y$ is 3\n")))
