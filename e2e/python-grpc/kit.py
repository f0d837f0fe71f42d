"""The conversation with the harness that started us, and where received messages are put and awaited."""

import itertools
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

NAMESRV = os.environ["NAMESRV"]
ENDPOINT = os.environ["ENDPOINT"]
RUN_ID = os.environ["RUN_ID"]
# Whom the clients sign as, where the server asks who calls. May send and receive, but where the name begins with
# `closed`.
OWN = (os.environ["ACCESS_KEY"], os.environ["SECRET_KEY"]) if "ACCESS_KEY" in os.environ else None

# In seconds; far below what is left of every client's poll, and the machine is busy.
WAKE_LIMIT = 3

# What the client prints belongs into the log.
_output, sys.stdout = sys.stdout, sys.stderr
_names = itertools.count(1)
_saying = threading.Lock()
_asking = threading.Lock()


def run(cases):
    """Plays the cases that the filter lets through: side by side, then those alone that restart the server, as
    their names say. A case passes when it returns."""
    words = [word for word in os.environ.get("CASE_FILTER", "").split(",") if word]
    wanted = {name: play for name, play in cases.items() if not words or any(word in name for word in words)}
    with ThreadPoolExecutor(int(os.environ.get("CASES_AT_ONCE", "1"))) as players:
        for name, play in wanted.items():
            if "restart" not in name:
                players.submit(_play, name, play)
    for name, play in wanted.items():
        if "restart" in name:
            _play(name, play)
    say("DONE")
    # Clients leave threads behind.
    os._exit(0)


def _play(name, play):
    say(f"CASE {name}")
    try:
        play()
        say(f"PASS {name}")
    except BaseException as failure:  # a case must not end the program
        traceback.print_exc()
        say(f"FAIL {name} {type(failure).__name__}: {failure}".replace("\n", " "))


def topic(queues):
    """A new topic of normal messages."""
    name = unique("topic")
    operator(f"topic {name} NORMAL {queues}")
    return name


def group(*options):
    """A new group; options as the operator takes them."""
    name = unique("group")
    operator(" ".join(["group", name, *options]))
    return name


def unique(word):
    return f"{word}-{RUN_ID}-{next(_names)}"


def operator(command):
    _ask(f"OPERATOR {command}", "OPERATED")


def restart(how):
    """Returns when the server is up again; how is graceful or kill."""
    _ask(f"RESTART {how}", "RESTARTED")


def _ask(question, expected):
    with _asking:
        say(question)
        answer = sys.stdin.readline().strip()
    if answer != expected:
        raise RuntimeError(f"{question} was answered: {answer}")


def say(line):
    with _saying:
        print(line, file=_output, flush=True)


@dataclass
class Letter:
    """A received message; the first attempt is 1."""

    body: str
    tag: str
    keys: set = field(default_factory=set)
    properties: dict = field(default_factory=dict)
    attempt: int = 1
    id: str = ""


class Inbox:
    # All inboxes share one condition, so that a wait can watch several of them.
    _changed = threading.Condition()

    def __init__(self):
        self._letters = []

    def put(self, letter):
        with self._changed:
            self._letters.append(letter)
            self._changed.notify_all()

    @property
    def letters(self):
        with self._changed:
            return list(self._letters)

    def bodies(self):
        return [letter.body for letter in self.letters]

    def count_of(self, word):
        return sum(body.startswith(word + "-") for body in self.bodies())

    def await_count(self, count, patience):
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self._letters) >= count, patience)
        assert arrived, f"not within {patience} s: {count} messages; there are {len(self.letters)}"
        return self.letters

    def expect_silence(self, seconds):
        with self._changed:
            before = len(self._letters)
            spoke = self._changed.wait_for(lambda: len(self._letters) > before, seconds)
        assert not spoke, f"unexpected: {self.letters[before]}"


def await_bodies(bodies, patience, *inboxes):
    """Waits until each of these was received at least once, by any of the inboxes."""

    def missing():
        return set(bodies) - {letter.body for inbox in inboxes for letter in inbox._letters}

    with Inbox._changed:
        arrived = Inbox._changed.wait_for(lambda: not missing(), patience)
        assert arrived, f"not within {patience} s: {sorted(missing())[:5]}"


def expect_each_once(bodies, *inboxes):
    received = [body for inbox in inboxes for body in inbox.bodies()]
    for body in bodies:
        assert received.count(body) == 1, f"{body} was delivered {received.count(body)} times"


def expect_equal(what, expected, actual):
    assert expected == actual, f"{what}: expected {expected!r}, got {actual!r}"


def bodies(word, count):
    return [f"{word}-{number}" for number in range(count)]


class SteadySender(threading.Thread):
    """Sends on and on, and remembers what was acknowledged."""

    def __init__(self, send):
        super().__init__(daemon=True)
        self._send = send
        self._stopped = False
        self._changed = threading.Condition()
        self._acknowledged = []
        self.start()

    def run(self):
        for number in itertools.count():
            if self._stopped:
                return
            body = f"steady-{number}"
            try:
                self._send(body)
            except Exception:
                # No promise was given; the next one may do better.
                time.sleep(0.05)
                continue
            with self._changed:
                self._acknowledged.append(body)
                self._changed.notify_all()

    def await_more(self, count, patience):
        with self._changed:
            wanted = len(self._acknowledged) + count
            reached = self._changed.wait_for(lambda: len(self._acknowledged) >= wanted, patience)
        assert reached, f"no {count} more acknowledged sends within {patience} s"

    def stop(self):
        self._stopped = True
        self.join()
        return self._acknowledged
