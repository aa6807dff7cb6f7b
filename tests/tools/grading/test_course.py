"""A lecturer's week: exports as they come, tables as spreadsheets save them, results that stay."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from exports import LATE, MONDAY, canvas, moodle, zipped
from lowerbound import checks, language
from lowerbound.checks import CheckError
from toy_assignment import NAME, student, write

from tools.grading import intake, sheets
from tools.grading.__main__ import main
from tools.grading.assignment import SOURCES, Assignment, assignments
from tools.grading.course import WRITTEN, Course, rubric
from tools.grading.feedback import page
from tools.grading.judge import Verdict, told
from tools.grading.submissions import OUR_FAULT


def notebook(assignment: Assignment, word: str = "", metadata: bool = True) -> bytes:
    made = student(assignment, first=f"# {word}" if word else "")
    if not metadata:
        made["metadata"] = {}
    return json.dumps(made).encode()


@pytest.fixture
def toy(tmp_path: Path) -> Assignment:
    return write(tmp_path / "sources")


def found(
    tmp_path: Path, toy: Assignment, *places: Path
) -> tuple[list[intake.Submission], list[tuple[str, str]]]:
    return intake.find(list(places), {NAME: toy}, tmp_path / "unpacked")


def counted(submissions: list[intake.Submission]) -> dict[str, str]:
    return {one.student: one.source.rpartition("/")[2] for one in submissions if not one.problem}


# What is handed in


def test_moodles_export_is_read_in_folders_and_flat(tmp_path: Path, toy: Assignment) -> None:
    students = {"Nguyễn Văn A": (11, notebook(toy, "a")), "Lê Thị B": (12, notebook(toy, "b"))}
    for flat in (False, True):
        submissions, left_out = found(tmp_path, toy, moodle(tmp_path, NAME, students, flat))
        assert {(one.key, one.student, one.folder) for one in submissions} == {
            ("m11", "Nguyễn Văn A", "Nguyễn Văn A_11_assignsubmission_file_"),
            ("m12", "Lê Thị B", "Lê Thị B_12_assignsubmission_file_"),
        }
        assert {one.when for one in submissions} == {"2026-11-16 09:00"}
        assert left_out == []


def test_canvas_export_is_read_with_its_suffixes(tmp_path: Path, toy: Assignment) -> None:
    students = {"nguyenvana": (5, notebook(toy, "a")), "lethib": (6, notebook(toy, "b"))}
    submissions, _ = found(tmp_path, toy, canvas(tmp_path, NAME, students, late=("lethib",)))
    assert {(one.key, one.student, one.late, one.assignment) for one in submissions} == {
        ("c5", "nguyenvana", False, NAME), ("c6", "lethib", True, NAME)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        (f"{NAME}.ipynb", False), (f"Copy of {NAME}.ipynb", False), (f"{NAME} - Copy.ipynb", False),
        (f"{NAME} (2).ipynb", False), (f"{NAME}-1.ipynb", False), (f"{NAME.lower()}.ipynb", False),
        (f"{NAME}_final.IPYNB", False), ("Untitled3.ipynb", True), ("Bài 1.ipynb", False),
    ],
)  # fmt: skip
def test_the_assignment_is_known_whatever_the_file_is_called(
    tmp_path: Path, toy: Assignment, name: str, metadata: bool
) -> None:
    place = tmp_path / "in" / "ada" / name
    place.parent.mkdir(parents=True)
    place.write_bytes(notebook(toy, metadata=metadata))
    (one,) = found(tmp_path, toy, tmp_path / "in")[0]
    assert (one.assignment, one.problem, one.key) == (NAME, "", "ada")


def test_what_is_no_work_is_passed_over_and_what_is_no_notebook_is_listed(
    tmp_path: Path, toy: Assignment
) -> None:
    place = tmp_path / "all.zip"
    inner = zipped({f"{NAME}.ipynb": (notebook(toy), MONDAY)})
    place.write_bytes(
        zipped(
            {
                f"ada/{NAME}.ipynb": (notebook(toy), MONDAY),
                f"__MACOSX/ada/._{NAME}.ipynb": (b"\0\5", MONDAY),
                f"ada/.ipynb_checkpoints/{NAME}-checkpoint.ipynb": (b"{}", MONDAY),
                "ada/.DS_Store": (b"", MONDAY),
                "bob/work.zip": (inner, MONDAY),
                "cy/answer.pdf": (b"%PDF", MONDAY),
                f"../../evil/{NAME}.ipynb": (notebook(toy, "e"), MONDAY),
                f"{NAME}.ipynb": (notebook(toy, "n"), MONDAY),
                "dan/broken.zip": (b"PK", MONDAY),
            }
        )
    )
    submissions, left_out = found(tmp_path, toy, place)
    assert set(counted(submissions)) == {"ada", "bob", "evil"}
    assert [one.problem.partition(":")[0] for one in submissions if one.problem] == [
        "whose it is cannot be told"
    ]
    assert sorted(source.rpartition("/")[2] for source, _ in left_out) == ["answer.pdf", "broken.zip"]
    assert all(tmp_path in one.path.parents for one in submissions)


def test_a_students_own_zip_was_handed_in_when_the_system_says(tmp_path: Path, toy: Assignment) -> None:
    inner = zipped({f"{NAME}.ipynb": (notebook(toy), (2020, 1, 1, 0, 0, 0))})
    export = zipped({"Ada_7_assignsubmission_file_/hw.zip": (inner, LATE)})
    (tmp_path / "moodle.zip").write_bytes(export)
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "moodle.zip").write_bytes(export)  # an export in a folder keeps the system's times
    (tmp_path / "flat.zip").write_bytes(zipped({"ada_7_800_hw.zip": (inner, LATE)}))
    for place in ("moodle.zip", "all", "flat.zip"):
        (one,) = found(tmp_path, toy, tmp_path / place)[0]
        assert one.when == "2026-11-23 09:00", place


def test_of_several_files_the_last_counts_and_the_others_say_so(tmp_path: Path, toy: Assignment) -> None:
    place = tmp_path / "in.zip"
    place.write_bytes(
        zipped(
            {
                f"ada/{NAME} (2).ipynb": (notebook(toy, "1"), MONDAY),
                f"ada/{NAME}.ipynb": (notebook(toy, "2"), LATE),
                f"ada/again/{NAME}.ipynb": (b"not yet a notebook", (2026, 12, 1, 0, 0, 0)),
                f"lethib_6_900_{NAME}.ipynb": (notebook(toy, "3"), LATE),
                f"lethib_6_901_{NAME}-1.ipynb": (notebook(toy, "4"), MONDAY),
            }
        )
    )
    submissions, _ = found(tmp_path, toy, place)
    assert counted(submissions) == {"ada": f"{NAME}.ipynb", "lethib": f"lethib_6_901_{NAME}-1.ipynb"}
    assert sum(one.problem.startswith("not counted: ") for one in submissions) == 3


def test_students_are_told_apart() -> None:
    names = [
        "o'neil",
        "o_neil",
        "O_neil",
        "O'Neil",
        "-minus",
        "minus",
        "=1+1",
        "Nguyễn A",
        "Nguyên A",
        "..",
        "a/b",
        "a_b",
    ]
    keys = [intake.safe(name) for name in names]
    assert len({key.lower() for key in keys}) == len(names)
    assert all(key[0].isalnum() and "/" not in key and key == sheets.guarded(key) for key in keys)
    assert intake.safe("Nguye\u0302\u0303n") == intake.safe("Nguy\u1ec5n")  # as a Mac writes it


def test_nbgraders_folder_is_read_with_its_time(tmp_path: Path, toy: Assignment) -> None:
    place = tmp_path / "submitted" / "ada" / NAME
    place.mkdir(parents=True)
    (place / f"{NAME}.ipynb").write_bytes(notebook(toy))
    (place / "timestamp.txt").write_text("2026-11-16 08:30:00.123456")
    (one,) = found(tmp_path, toy, tmp_path / "submitted")[0]
    assert (one.key, one.assignment, one.when) == ("ada", NAME, "2026-11-16 08:30")


# What people write


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("4", 4),
        ("4.5", 4.5),
        ("4,5", 4.5),
        ("5/8", 5),
        (" 0 ", 0),
        ("", None),
        ("'3", 3),
        ("8,00", 8),
        (".5", 0.5),
    ],
)
def test_points_are_read_as_people_write_them(text: str, points: float | None) -> None:
    assert sheets.points(text, 8) == points


@pytest.mark.parametrize("text", ["500", "-1", "8,1", "5/9", "05. Aug", "good", "nan", "1e1", "4,5,6", "--"])
def test_other_points_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        sheets.points(text, 8)


def graded(
    tmp_path: Path, toy: Assignment, who: str = "ada", when: str = "2026-11-16 09:00", **more: Any
) -> Course:
    """A course in which somebody has been graded, without a run."""
    course = Course(tmp_path / "out", {NAME: toy})
    path = tmp_path / f"{who}.ipynb"
    path.write_bytes(notebook(toy, who + more.pop("word", "")))
    submission = intake.Submission(more.pop("key", who), who, NAME, path, path.name, when, **more)
    marks = {"double-test": (2.0, ""), "mean-test": (0.0, "it is wrong")}
    verdict = Verdict(submission.key, NAME, marks=marks, answers={"why": f"because {who}"})
    course.keep(submission, verdict, course.finish(submission, verdict, nbformat.read(path, as_version=4)))
    return course


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


SAVED = {  # how a spreadsheet saves a table: what separates, and how it is encoded
    "UTF-8": (",", "utf-8"),
    "UTF-8 with a mark": (",", "utf-8-sig"),
    "semicolons": (";", "utf-8-sig"),
    "Windows": (";", "cp1252"),
    "tabs in UTF-16": ("\t", "utf-16"),
}


@pytest.mark.parametrize("way", SAVED)
@pytest.mark.parametrize("points", ["2,5", "2.5"])
def test_written_csv_is_read_however_it_is_saved(
    tmp_path: Path, toy: Assignment, way: str, points: str
) -> None:
    course = graded(tmp_path, toy, "zoë")
    path, (delimiter, encoding) = tmp_path / "out" / NAME / "written.csv", SAVED[way]
    table = rows(path)
    table[0] |= {"points": points, "comment": "gut; naïf"}
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, WRITTEN, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table)
    assert course.by_hand(toy) == {("zoë", "why"): (2.5, "gut; naïf")}
    assert course.report() == [f"{NAME}: 1 students, all is graded"]
    (row,) = rows(tmp_path / "out" / NAME / "grades.csv")
    assert (row["total"], row["of"], row["waiting"]) == ("4.5", "9", "0")
    assert course.by_hand(toy) == {("zoë", "why"): (2.5, "gut; naïf")}  # written again, as it was


def test_points_out_of_range_are_refused_with_row_and_column_and_nothing_is_lost(
    tmp_path: Path, toy: Assignment, capsys: pytest.CaptureFixture[str]
) -> None:
    graded(tmp_path, toy, "ada")
    course = graded(tmp_path, toy, "bob")
    path = tmp_path / "out" / NAME / "written.csv"
    text = (
        path.read_text(encoding="utf-8-sig")
        .replace(",why,4,,", ",why,4,500,", 1)
        .replace(",why,4,,", ",why,4,-1,")
    )
    path.write_text(text, encoding="utf-8")
    arguments = ["report", "--out", str(tmp_path / "out"), "--sources", str(toy.path.parent)]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "written.csv, row 2, column E (points): 500 is not between 0 and 4" in said
    assert "written.csv, row 3, column E (points): -1 is not between 0 and 4" in said
    assert path.read_text(encoding="utf-8") == text
    graded(tmp_path, toy, "cy")  # a result that comes meanwhile is kept
    assert len(course.results(toy)) == 3
    assert path.read_text(encoding="utf-8") == text


def test_rubric_and_lateness_stand_beside_the_points(tmp_path: Path, toy: Assignment) -> None:
    course = Course(tmp_path / "out", {NAME: toy})
    course.set_due(NAME, "2026-11-14 23:59")
    course.settings["late"]["percent_per_day"] = 10
    (tmp_path / "out" / "course.json").write_text(json.dumps(course.settings))
    course = graded(tmp_path, toy, "ada", "2026-11-16 09:00")
    graded(tmp_path, toy, "bob", "2026-11-15 00:10")
    ada, bob = rows(tmp_path / "out" / NAME / "grades.csv")
    assert (ada["late"], ada["deducted"], ada["total"]) == ("2 days late: −20 %", "0.4", "1.6")
    assert (bob["late"], bob["total"]) == ("", "2")
    assert rows(tmp_path / "out" / NAME / "written.csv")[0]["late"] == "2 days late: −20 %"
    course.report()
    assert "2 days late: −20 %" in (tmp_path / "out" / NAME / "feedback" / "ada.html").read_text()


def test_a_feedback_page_shows_text_as_text_and_no_scripts(toy: Assignment) -> None:
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |"
    fold = "<details><summary>Hint</summary>\n\nLook.\n\n</details>"
    texts = "\n\n".join(["# Part 1", "Text.", table, fold]), "<script>alert(1)</script><img src=x onerror=y>"
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])
    verdict = Verdict("ada", NAME, marks={"double-test": (0.0, "double is wrong.\nSee <b>.")})
    text = page(toy, verdict, made, {cell.id: (None, "") for cell in toy.written})
    said = "wrong.<br/>See &lt;b&gt;."
    for shown in ('<h1 id="Part-1">Part 1', "<th>a</th>", "<summary>Hint</summary>", said):
        assert shown in text, shown
    assert not re.search(r"<script>alert|<img src=x", text)
    assert not re.search(r"&lt;/?(h\d|p|table|td|th|details)\b", text)


def test_a_checks_message_can_be_told_in_vietnamese(tmp_path: Path, toy: Assignment) -> None:
    verdict = Verdict("ada", NAME, marks={"double-test": (0.0, "double is not written yet.")})
    hand = {cell.id: (None, "") for cell in toy.written}
    with pytest.raises(CheckError) as raised:
        checks.kl.grade(lambda mean, logvar: 2 * checks.kl.oracle(mean, logvar))
    message = told(raised.value)
    assert "It was called" in message
    assert "double is not written yet." in page(toy, verdict, None, hand)
    try:
        language.use("vi")
        assert "double chưa được viết." in page(toy, verdict, None, hand)
        verdict.marks["double-test"] = 0.0, message
        shown = page(toy, verdict, None, hand)
        assert "kl chưa đúng: " in shown
        assert not re.search("It was called|that begins with", shown)
    finally:
        language.use(None)


def test_every_answer_graded_by_hand_has_its_rubric_in_the_table() -> None:
    for assignment in assignments(SOURCES).values():
        assert all(len(rubric(cell)) > 20 for cell in assignment.written), assignment.name


# What stays


def test_a_second_week_and_a_second_run_lose_nothing(tmp_path: Path, toy: Assignment) -> None:
    second = Assignment(write(tmp_path / "more").path.rename(tmp_path / "more" / "T2_toy.ipynb"))
    known = {NAME: toy, "T2_toy": second}
    course = graded(tmp_path, toy)
    path = tmp_path / "out" / NAME / "written.csv"
    path.write_text(
        path.read_text(encoding="utf-8-sig").replace(",why,4,,", ",why,4,3,good"), encoding="utf-8"
    )
    submission = intake.Submission("bao", "bao", "T2_toy", tmp_path / "ada.ipynb", "bao", "2026-11-23 09:00")
    Course(tmp_path / "out", known).keep(submission, Verdict("bao", "T2_toy", answers={"why": ""}), "")
    both = Course(tmp_path / "out", known)
    both.report()
    table = {row["key"]: row for row in rows(tmp_path / "out" / "grades.csv")}
    assert (table["ada"][NAME], table["bao"]["T2_toy"], table["ada"]["sum"]) == ("5", "0", "5")
    assert course.by_hand(toy)["ada", "why"] == (3.0, "good")
    graded(tmp_path, toy, word=" again")  # handed in again, with another notebook and the same answer
    assert course.by_hand(toy)["ada", "why"] == (3.0, "good")
    assert course.results(toy)[0]["before"] == [2.0]


def test_what_is_graded_is_not_run_again_unless_it_is_asked_for(tmp_path: Path, toy: Assignment) -> None:
    course = graded(tmp_path, toy)
    same = intake.Submission("ada", "ada", NAME, tmp_path / "ada.ipynb", "ada.ipynb", "2026-11-16 09:00")
    assert course.pending([same])[0] == []
    assert course.pending([same], again=True)[0] == [same]
    assert course.pending([same], student="ada")[0] == [same]
    assert course.pending([same], again=True, student="bob")[0] == []
    (tmp_path / "old.ipynb").write_bytes(notebook(toy, "an older one"))
    old = intake.Submission("ada", "ada", NAME, tmp_path / "old.ipynb", "old.ipynb", "2026-11-10 09:00")
    todo, told = course.pending([old])
    assert (todo, told[0].problem) == ([], "not counted: one of 2026-11-16 09:00 has been graded")
    assert {row["file"] for row in rows(tmp_path / "out" / "submissions.csv")} == {"ada.ipynb", "old.ipynb"}


def test_what_our_side_could_not_run_is_run_again(tmp_path: Path, toy: Assignment) -> None:
    course, path = Course(tmp_path / "out", {NAME: toy}), tmp_path / "ada.ipynb"
    path.write_bytes(notebook(toy))
    one = intake.Submission("ada", "ada", NAME, path, path.name, "2026-11-16 09:00")
    for refused, again in ((f"{OUR_FAULT}the sandbox does not start: ", [one]), ("not a notebook: x", [])):
        course.keep(one, Verdict("ada", NAME, refused), "")
        assert course.pending([one])[0] == again


def test_an_answer_that_changes_after_it_was_graded_is_told(tmp_path: Path, toy: Assignment) -> None:
    course = graded(tmp_path, toy)
    path = tmp_path / "out" / NAME / "written.csv"
    path.write_text(path.read_text(encoding="utf-8-sig").replace(",why,4,,", ",why,4,3,"), encoding="utf-8")
    (tmp_path / "next.ipynb").write_bytes(notebook(toy, "next"))
    again = intake.Submission("ada", "ada", NAME, tmp_path / "next.ipynb", "next.ipynb", "2026-11-17 09:00")
    assert course.keep(again, Verdict("ada", NAME, answers={"why": "something else"}), "") == 2.0
    assert "graded by hand before that: why" in rows(tmp_path / "out" / NAME / "grades.csv")[0]["note"]


# What goes back


def test_moodle_and_canvas_get_their_columns_and_their_names(tmp_path: Path, toy: Assignment) -> None:
    graded(tmp_path, toy, "Nguyễn Văn A", key="m11", folder="Nguyễn Văn A_11_assignsubmission_file_")
    course = graded(tmp_path, toy, "lethib", key="c6", folder=f"lethib_6_901_{NAME}-1")
    course.settings["canvas_titles"][NAME] = "Assignment 1 (4711)"
    course.report()
    (moodle_row,) = rows(tmp_path / "out" / NAME / "moodle.csv")
    assert (moodle_row["Identifier"], moodle_row["Grade"], moodle_row["Maximum Grade"]) == (
        "Participant 11",
        "2",
        "9",
    )
    points, canvas_row = rows(tmp_path / "out" / "canvas.csv")
    assert (canvas_row["ID"], canvas_row["Assignment 1 (4711)"], points["Assignment 1 (4711)"]) == (
        "6",
        "2",
        "9",
    )
    with zipfile.ZipFile(tmp_path / "out" / NAME / "feedback.zip") as archive:
        assert set(archive.namelist()) == {
            f"Nguyễn Văn A_11_assignsubmission_file_/{NAME}.html", f"lethib_6_901_{NAME}-1.html"
        }  # fmt: skip


def test_two_students_with_one_name_are_not_made_one(tmp_path: Path, toy: Assignment) -> None:
    graded(tmp_path, toy, "Nguyễn Văn A", key="m11")
    graded(tmp_path, toy, "Nguyễn Văn A", key="m12").report()
    table = rows(tmp_path / "out" / "grades.csv")
    assert [row["key"] for row in table] == ["Nguyễn Văn A (m11)", "Nguyễn Văn A (m12)"]
    assert all("join the rows by hand" in row["note"] for row in table)


def test_two_weeks_of_both_systems_are_graded_from_zips_to_tables_by_two_commands(tmp_path: Path) -> None:
    """The runs are real, of a small assignment; a damaged, a late and a wrong one are among them."""
    from test_grading_hostile import sandbox_or_skip

    sandbox_or_skip()
    toy = write(tmp_path / "sources")
    second = json.loads((tmp_path / "sources" / f"{NAME}.ipynb").read_text())
    (tmp_path / "sources" / "T2_toy.ipynb").write_text(json.dumps(second))
    wrong = json.dumps(student(toy, double="def double(x):\n    return x")).encode()
    week1 = moodle(tmp_path, NAME, {"Nguyễn Văn A": (11, notebook(toy)), "Lê Thị B": (12, wrong)})
    other = student(toy)
    other["metadata"]["lowerbound"]["assignment"] = "T2_toy"
    week2 = canvas(
        tmp_path, "T2_toy", {"nguyenvana": (5, json.dumps(other).encode()), "lethib": (6, b"{}")}, ("lethib",)
    )
    places = ["--out", str(tmp_path / "out"), "--sources", str(toy.path.parent)]
    assert main(["grade", str(week1), str(week2), *places]) == 0
    for name in (NAME, "T2_toy"):
        path = tmp_path / "out" / name / "written.csv"
        path.write_text(
            path.read_text(encoding="utf-8-sig").replace(",why,4,,", ",why,4,3,"), encoding="utf-8"
        )
    assert main(["report", *places]) == 0
    table = {row["key"]: row for row in rows(tmp_path / "out" / "grades.csv")}
    assert {key: (row[NAME], row["T2_toy"]) for key, row in table.items()} == {
        "Nguyễn Văn A": ("8", ""), "Lê Thị B": ("6", ""), "c5": ("", "8"), "c6": ("", "3")
    }  # fmt: skip
    assert len(rows(tmp_path / "out" / NAME / "moodle.csv")) == 2
    assert [row["T2_toy"] for row in rows(tmp_path / "out" / "canvas.csv")] == ["9", "3", "8"]
    assert main(["grade", str(week1), str(week2), *places]) == 0  # nothing is run again
    assert {row["counts"] for row in rows(tmp_path / "out" / "submissions.csv")} == {"yes"}
