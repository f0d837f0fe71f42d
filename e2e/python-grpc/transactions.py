"""Half messages: what is committed is seen, once; what is left open is asked about."""

import threading

import kit
from clients import PATIENCE, configuration, leave, listen, message
from rocketmq import Producer, TransactionChecker, TransactionResolution

COUNT = 20
# Longer than the first check and one interval of the server under test, in seconds.
QUIET = 9


def _topic():
    name = kit.unique("topic")
    kit.operator(f"topic {name} TRANSACTION 4")
    return name


def _is_even(body):
    return int(body.rsplit("-", 1)[1]) % 2 == 0


def _even(bodies):
    return [body for body in bodies if _is_even(body)]


class _Decider(TransactionChecker):
    def __init__(self, when_asked):
        self._when_asked = when_asked
        self._changed = threading.Condition()
        self.asked = []

    def check(self, half):
        body = half.body.decode()
        with self._changed:
            self.asked.append(body)
            self._changed.notify_all()
        return self._when_asked(body)

    def await_all(self, bodies):
        with self._changed:
            arrived = self._changed.wait_for(lambda: set(bodies) <= set(self.asked), PATIENCE)
        assert arrived, f"asked about {sorted(set(self.asked))}"


def _unknown(_body):
    return TransactionResolution.TRANSACTION_RESOLUTION_UNSPECIFIED


def _by_number(body):
    return TransactionResolution.COMMIT if _is_even(body) else TransactionResolution.ROLLBACK


def _producer(topic, decider):
    client = Producer(configuration(), [topic], checker=decider)
    client.startup()
    return client


def _commit_rollback():
    topic = _topic()
    decider = _Decider(_unknown)
    client = _producer(topic, decider)
    bodies = kit.bodies("settled", COUNT)
    for body in bodies:
        transaction = client.begin_transaction()
        client.send(message(topic, body), transaction)
        if _is_even(body):
            transaction.commit()
        else:
            transaction.rollback()
    _expect_even(topic, bodies)
    assert not decider.asked, decider.asked
    client.shutdown()


def _check():
    topic = _topic()
    decider = _Decider(_by_number)
    client = _producer(topic, decider)
    bodies = kit.bodies("open", COUNT)
    for body in bodies:
        client.send(message(topic, body), client.begin_transaction())
    decider.await_all(bodies)
    _expect_even(topic, bodies)
    client.shutdown()


def _producer_gone():
    topic = _topic()
    first = _producer(topic, _Decider(_unknown))
    bodies = kit.bodies("orphan", COUNT)
    for body in bodies:
        first.send(message(topic, body), first.begin_transaction())
    first.shutdown()
    heir = _Decider(_by_number)
    second = _producer(topic, heir)
    heir.await_all(bodies)
    _expect_even(topic, bodies)
    second.shutdown()


def _expect_even(topic, bodies):
    inbox = kit.Inbox()
    consumer = listen(kit.group(), topic, inbox)
    kit.await_bodies(_even(bodies), PATIENCE, inbox)
    inbox.expect_silence(QUIET)
    leave(consumer)
    assert sorted(inbox.bodies()) == sorted(_even(bodies)), inbox.bodies()


CASES = {
    "tx-commit-rollback": _commit_rollback,
    "tx-check": _check,
    "tx-producer-gone": _producer_gone,
}
