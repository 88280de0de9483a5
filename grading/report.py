"""What the grader hands out: a table on screen, grades.csv, one Markdown file per submission."""

import csv
import errno
import itertools
import tempfile
from pathlib import Path

from grading.judge import HUMAN, POINTS, TRAINED
from grading.lockdown import GUARDS
from grading.messages import Note
from grading.tree import Refused

TOTAL = sum(POINTS.values())


def table(outcomes, language):
    """The grades as aligned text: one line per submission.

    Args:
        outcomes: [(name, Verdict, or the Note why it could not be judged)].
    """
    head = [_say("report.submission", language), *POINTS, _say("report.sum", language)]
    rows = [head]
    for name, verdict in outcomes:
        if isinstance(verdict, Note):
            rows.append([name, *["–"] * len(POINTS), "–"])
        else:
            points = [f"{verdict.earned(item)}/{worth}" for item, worth in POINTS.items()]
            rows.append([name, *points, f"{verdict.total}/{TOTAL}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def losses(verdict, language):
    """What a submission lost points for, as lines of text."""
    lines = [f"  {said}" for said in _about_files(verdict, language)]
    for item, titles, points, said in _lost(verdict, language):
        lines.append(f"  {item}  {titles}  −{points}: {said}")
    return lines


def _lost(verdict, language):
    """(item, titles, points, explanation): neighbours that failed for one reason are one loss."""
    lost = [r for r in verdict.results if r.check.points and not r.finding.passed]
    alike = itertools.groupby(lost, lambda r: (r.item, _target(r), explanation(r, language)))
    for (item, target, said), group in alike:
        group = list(group)
        respects = ", ".join(_respect(r, language) for r in group)
        yield item, f"`{target}`: {respects}", sum(r.check.points for r in group), said


def title(result, language):
    """A check's name: what it looks at, and in which respect."""
    return f"`{_target(result)}`: {_respect(result, language)}"


def _target(result):
    target, _, respect = result.check.name.partition(".")
    return respect if target == "given" else target


def _respect(result, language):
    return _say(f"title.{result.check.name.partition('.')[2]}", language)


def _about_files(verdict, language):
    """What was not handed in, handed in more than once, or in an encoding of its own."""
    for key in ("missing", "copies", "others", "foreign"):
        paths = getattr(verdict, key)
        if paths:
            yield _say(f"report.{key}", language, paths=_code(paths))
    if verdict.gpu:
        yield _say("report.gpu", language)


def explanation(result, language):
    """What was expected, what came, and the likely cause."""
    finding = result.finding
    said = [finding.seen.say(language)] if finding.seen else []
    if finding.cause and not finding.passed:
        said.append(_say("report.likely", language, cause=finding.cause.say(language)))
    return ". ".join(said) if said else _say("report.failed", language)


def feedback(verdict, language, trained=()):
    """A submission's Markdown file.

    Args:
        trained: lines about the numbers of a training, where one was run.
    """
    lost = list(_lost(verdict, language))
    lines = [
        f"# {_say('report.title', language, name=_plain(verdict.name))}",
        "",
        _say("report.total", language, earned=verdict.total, points=TOTAL),
        "",
        f"| {_say('report.item', language)} | {_say('report.points', language)} |",
        "|---|---|",
        *[f"| {item} | {verdict.earned(item)} / {worth} |" for item, worth in POINTS.items()],
        "",
    ]
    for said in _about_files(verdict, language):
        lines += [said, ""]
    lines += [f"## {_say('report.lost', language)}", ""]
    if not lost:
        lines.append(_say("report.nothing_lost", language))
    for item, titles, points, said in lost:
        lines.append(f"- {titles} ({item}, −{points}): {_plain(said)}")
    remarks = _remarks(verdict, language)
    if remarks:
        lines += ["", f"## {_say('report.remarks', language)}", "", *remarks]
    lines += ["", f"## {_say('report.all_checks', language)}", ""]
    lines += [
        f"| {_say('report.item', language)} | {_say('report.check', language)} "
        f"| {_say('report.points', language)} | |",
        "|---|---|---|---|",
    ]
    for r in verdict.results:
        if r.check.points:
            lines.append(
                f"| {r.item} | {title(r, language)} | {r.earned} / {r.check.points} "
                f"| {_say(_status(r), language)} |"
            )
    lines.append("")
    if trained:
        lines += [f"## {_say('report.trainings', language)}", "", *trained, ""]
    lines += [ungraded(language, bool(trained)), ""]
    lines += [_say("report.seed", language, seed=verdict.seed), ""]
    return "\n".join(lines)


def _remarks(verdict, language):
    lines, judged_with = [], {}
    for target, names in verdict.standins.items():
        judged_with.setdefault(names, []).append(target)
    for names, targets in judged_with.items():
        targets = [target for target in targets if target != "given"]
        several = "s" if len(targets) > 1 else ""
        said = _say(f"report.stand_in{several}", language, names=_code(names))
        if targets:
            lines.append(f"- {_code(targets)}: {said}")
    for r in verdict.results:
        said = [note.say(language) for note in r.finding.remarks]
        if not r.check.points and not r.finding.passed and r.answered:
            said.append(_plain(explanation(r, language)))
        lines += [f"- {title(r, language)}: {text}" for text in said]
    return lines


def _status(result):
    if result.finding.passed:
        return "report.passed"
    if not result.implemented:
        return "report.unimplemented"
    return "report.failed" if result.answered else "report.no_answer"


def ungraded(language, trained):
    """The items that this grading leaves to others."""
    human = ", ".join(HUMAN)
    if trained:
        return _say("report.human_only", language, human=human)
    return _say("report.human", language, human=human, trained=", ".join(TRAINED))


def isolation(outcomes, language):
    """What submissions could not do on this machine and what they could: a line for each kind.

    Args:
        outcomes: as for `table`.
    """
    held = {}
    for name, verdict in outcomes:
        if not isinstance(verdict, Note) and verdict.guards is not None:
            held.setdefault(frozenset(verdict.guards), []).append(name)
    for guards, names in held.items():
        missing = [Note(f"guard.{name}").say(language) for name in GUARDS if name not in guards]
        key = "report.guards_missing" if missing else "report.guards_all"
        said = _say(key, language, missing=", ".join(missing))
        yield said if len(held) == 1 else f"{', '.join(names)}: {said}"


def try_out(folder):
    """See that `write` will be able to; a folder made for that is not left behind empty.

    Raises:
        Refused: it will not.
    """
    folder = Path(folder)
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        if made:
            folder.rmdir()
    except OSError as error:
        raise unwritten(folder, error) from error


def unwritten(folder, error):
    """The Refused that an OSError while writing there stands for."""
    return Refused("unwritten", folder=folder, code=errno.errorcode.get(error.errno, error.errno))


def write(folder, outcomes, language, trained=None):
    """grades.csv and a Markdown file per submission.

    Args:
        outcomes: as for `table`.
        trained: {name: lines about a training}.
    Raises:
        Refused: the folder takes no files.
    """
    try:
        _write(Path(folder), outcomes, language, trained or {})
    except OSError as error:
        raise unwritten(folder, error) from error


def _write(folder, outcomes, language, trained):
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "grades.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["submission", *POINTS, "total", "of", "judged", "seed", "seconds"])
        for name, verdict in outcomes:
            if isinstance(verdict, Note):
                rows.writerow([_cell(name), *[""] * len(POINTS), "", TOTAL, "no", "", ""])
            else:
                earned = [verdict.earned(item) for item in POINTS]
                seconds = round(verdict.seconds, 1)
                rows.writerow(
                    [_cell(name), *earned, verdict.total, TOTAL, "yes", verdict.seed, seconds]
                )
    for name, verdict in outcomes:
        if isinstance(verdict, Note):
            text = f"# {_say('report.title', language, name=_plain(name))}\n\n"
            text += _say("report.refused", language, why=_plain(verdict.say(language))) + "\n"
        else:
            text = feedback(verdict, language, trained.get(name, ()))
        (folder / f"{file_name(name, fold=False)}.md").write_text(text, encoding="utf-8")


def _code(names):
    return ", ".join(f"`{name}`" for name in names)


def _say(key, language, **values):
    return Note(key, **values).say(language)


def _plain(text):
    """Text of the submission's making, such as its error messages, without Markdown or HTML."""
    for mark in "\\<>[]*_|":
        text = text.replace(mark, f"\\{mark}")
    return text


def _cell(name):
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t" else name


def file_name(name, fold=True):
    """A name that is a file name everywhere; folded, to tell whether two are one file's."""
    kept = "".join(c if c.isalnum() or c in "-_. ()" else "_" for c in name).strip(". ")[:100]
    return (kept.casefold() if fold else kept) or "_"
