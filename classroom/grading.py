"""The tests run here, in the trusted process; what they test runs in the sandbox, question by
question. A test sees a student's function as a proxy that carries plain data there and back."""

import time
from dataclasses import dataclass, field

from . import submission as submissions
from .sandbox import Gone, Sandbox, StudentError
from .source import Assignment, Question, Test, used_names
from .worker import decode, encode


@dataclass
class Limits:
    """Seconds that a student's code may take: for one call or cell, and for one question in all."""

    call: float = 30.0
    question: float = 120.0


@dataclass
class Result:
    """What one test gave."""

    test: Test
    passed: bool
    says: str = ""

    @property
    def points(self) -> int:
        """The points it earned."""
        return self.test.points if self.passed else 0


@dataclass
class Grade:
    """What one submission gave."""

    student: str
    results: list[Result] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def points(self) -> int:
        """The points of all tests."""
        return sum(result.points for result in self.results)

    def points_of(self, question: str) -> int:
        """The points of one question's tests."""
        return sum(r.points for r in self.results if r.test.question == question)


class Function:
    """A student's function, called in the sandbox."""

    def __init__(self, name, ask):
        self.__name__, self._ask = name, ask

    def __call__(self, *args, **options):
        """Call it with plain data, tensors, or the book's objects; the result is plain data."""
        parts = {"args": encode(args), "options": encode(options)}
        return read_value(self._ask(do="call", name=self.__name__, **parts))


def read_value(reply):
    """The value in a reply."""
    try:
        return decode(reply["value"])
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError, OverflowError):
        raise StudentError("what came back is not plain data") from None


def trusted_names(setup: str) -> dict:
    """What the set-up cells define, here, for the tests."""
    names = {"__name__": "__main__"}
    exec(compile(setup, "set-up", "exec"), names)
    return names


def grade(
    assignment: Assignment,
    submission: submissions.Submission,
    sandbox: Sandbox,
    limits: Limits | None = None,
) -> Grade:
    """Grade one submission: a result for every test, whatever the submission does."""
    started = time.monotonic()
    result = Grade(submission.student, [], list(submission.remarks), submission.texts)
    setup = assignment.setup_for(submission.student)
    names = trusted_names(setup)
    for question in assignment.questions:
        attempt = Attempt(question, submission, setup, sandbox, limits or Limits())
        result.results += attempt.results(names)
        result.remarks += attempt.remarks
    result.seconds = time.monotonic() - started
    return result


class Attempt:
    """One student's answer to one question, and the conversation about it."""

    def __init__(self, question: Question, submission, setup, sandbox, limits):
        self.question, self.sandbox, self.limits, self.setup = question, sandbox, limits, setup
        self.source = submission.answers.get(question.id)
        self.answers, self.remarks = submission.answers, []
        self.elsewhere = submission.elsewhere
        self.left_out, self.connection, self.hopeless, self.used = set(), None, None, 0.0

    def results(self, names: dict) -> list[Result]:
        """All results; public tests run first, so that nothing hidden can show in what they say."""
        tests = sorted(self.question.tests, key=lambda test: not test.public)
        self.hopeless = "no answer"
        if self.source is not None:
            self.hopeless = submissions.refusal(self.question, self.answers, self.setup)
        try:
            found = {id(test): self.run(test, names) for test in tests}
        finally:
            self.hang_up()
        return [found[id(test)] for test in self.question.tests]

    def run(self, test: Test, names: dict) -> Result:
        """The result of one test."""
        try:
            if self.hopeless is None and self.connection is None:
                self.load()
            if self.hopeless is not None:
                return Result(test, False, self.hopeless)
            wanted = used_names(test.source) & set(self.question.exports)
            here = dict(names) | {name: self.fetch(name) for name in sorted(wanted)}
            # optimize=0: asserts count even where Python was started with -O
            exec(compile(test.source, f"test of {test.question}", "exec", optimize=0), here)
        except Gone as gone:
            self.hang_up()
            return Result(test, False, str(gone))
        except StudentError as error:
            self.note_missing(str(error))
            return Result(test, False, str(error))
        except AssertionError as error:
            return Result(test, False, str(error).strip() or "the assertion does not hold")
        except Exception as error:  # a test that stumbles over what came back
            return Result(test, False, f"{type(error).__name__}: {error}")
        return Result(test, True)

    def fetch(self, name: str):
        """What the answer calls by this name: a function's proxy, or a plain value, read once."""
        reply = self.ask(do="get", name=name)
        return Function(name, self.ask) if reply.get("callable") is True else read_value(reply)

    def ask(self, **request):
        """One request, within what is left of the question's time."""
        left = min(self.limits.call, self.limits.question - self.used)
        if self.connection is None:
            raise Gone("no answer any more")
        if left <= 0:
            raise Gone(f"the question's {self.limits.question:g} s were used up")
        started = time.monotonic()
        try:
            return self.connection.ask(left, **request)
        finally:
            self.used += time.monotonic() - started

    def load(self) -> None:
        """Run the set-up, the answers that this one builds on, and this one, in a fresh child."""
        self.connection = self.sandbox.question()
        self.ask(do="run", source=self.setup, name="set-up")
        for other in submissions.needed(self.question.id, self.answers, self.setup):
            if other in self.left_out:
                continue
            try:
                self.ask(do="run", source=self.answers[other], name=f"answer {other}")
            except StudentError as error:
                self.remark(f"{self.question.id} builds on {other}, which fails: {error}")
            except Gone as gone:
                self.remark(f"{self.question.id} builds on {other}, which was left out: {gone}")
                self.left_out.add(other)
                self.hang_up()
                return self.load()
        try:
            self.ask(do="run", source=self.source, name=f"answer {self.question.id}")
        except StudentError as error:  # what it had defined until then is graded
            self.remark(f"{self.question.id}: its cell stops with {error}")
            self.note_missing(str(error))
        except Gone as gone:
            self.hopeless = f"its cell: {gone}"
            self.hang_up()
        return None

    def note_missing(self, error: str) -> None:
        """Say so where a name is missing because it stands in a cell that is not graded."""
        for name in self.elsewhere:
            if f"'{name}'" in error:
                self.remark(f"{name} is defined outside the answer cells, and only they are graded")

    def remark(self, text: str) -> None:
        """Remember a remark, once."""
        if text not in self.remarks:
            self.remarks.append(text)

    def hang_up(self) -> None:
        """End the conversation; the next one starts in a fresh child."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
