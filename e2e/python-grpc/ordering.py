"""Groups that are delivered in order; bodies are `key-number`."""

import kit
from clients import (PATIENCE, leave, letter, message, producer, push_consumer, receive, receive_one,
                     simple_consumer)

KEYS = 4
EACH = 8


def _topic(queues):
    name = kit.unique("fifo")
    kit.operator(f"topic {name} FIFO {queues}")
    return name


def _send(sender, topic, key, number):
    built = message(topic, f"{key}-{number}")
    built.message_group = key
    sender.send(built)
    return f"{key}-{number}"


def fifo_push():
    """One message of each key fails once: the later ones wait for it."""
    topic = _topic(2)
    inbox = kit.Inbox()
    failed = set()

    def verdict(received):
        inbox.put(received)
        if received.body.endswith("-3") and received.body not in failed:
            failed.add(received.body)
            return False
        return True

    sender = producer(topic)
    consumer = push_consumer(kit.group("orderly=1", "retries=8", "step-ms=500"), topic, verdict)
    for number in range(EACH):
        for key in range(KEYS):
            _send(sender, topic, f"key{key}", number)
    inbox.await_count(KEYS * (EACH + 1), PATIENCE)
    for key in range(KEYS):
        expected = [f"key{key}-{number}" for number in (0, 1, 2, 3, 3, 4, 5, 6, 7)]
        kit.expect_equal("order", expected, [body for body in inbox.bodies() if body.startswith(f"key{key}-")])
    leave(consumer)
    sender.shutdown()


def fifo_simple():
    """What is not acknowledged keeps its key back, and comes again before the rest of it."""
    topic = _topic(1)
    sender = producer(topic)
    consumer = simple_consumer(kit.group("orderly=1"), topic)
    for key, number in [("held", 0), ("held", 1), ("free", 0)]:
        _send(sender, topic, key, number)
    kit.expect_equal("first", "held-0", letter(receive_one(consumer)).body)
    free = receive_one(consumer)
    kit.expect_equal("the other key", "free-0", letter(free).body)
    consumer.ack(free)
    rest = []
    while len(rest) < 2:
        for received in receive(consumer, 16):
            rest.append((letter(received).body, received.delivery_attempt))
            consumer.ack(received)
    kit.expect_equal("the key", [("held-0", 2), ("held-1", 1)], rest)
    consumer.shutdown()
    sender.shutdown()


CASES = {"fifo-push": fifo_push, "fifo-simple": fifo_simple}
