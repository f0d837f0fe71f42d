"""Sending and consuming when all goes well."""

import time

import kit
from clients import (INVISIBLE, PATIENCE, drain, leave, listen, message, producer, push_consumer,
                     receive_one, send_all, simple_consumer)

COUNT = 20


def send_sync():
    topic = kit.topic(4)
    sender = producer(topic)
    ids = {sender.send(message(topic, body)).message_id for body in kit.bodies("sync", COUNT)}
    kit.expect_equal("distinct ids", COUNT, len(ids))
    for received in _received(topic, kit.bodies("sync", COUNT)):
        assert received.id in ids, "the id was given at the send"
    sender.shutdown()


def send_async():
    topic = kit.topic(4)
    sender = producer(topic)
    futures = [sender.send_async(message(topic, body)) for body in kit.bodies("async", COUNT)]
    for future in futures:
        future.result(timeout=20)
    _received(topic, kit.bodies("async", COUNT))
    sender.shutdown()


def send_large_body():
    topic = kit.topic(1)
    sender = producer(topic)
    large = "0123456789" * 100_000
    sender.send(message(topic, large))
    _received(topic, [large])
    sender.shutdown()


def round_trip():
    topic = kit.topic(1)
    sender = producer(topic)
    receipt = sender.send(message(topic, "Grüße, 世界", "colour", ["key-1", "key-2"],
                                  {"shape": "round", "city": "Zürich"}))
    received = _received(topic, ["Grüße, 世界"])[0]
    kit.expect_equal("tag", "colour", received.tag)
    kit.expect_equal("keys", {"key-1", "key-2"}, received.keys)
    kit.expect_equal("shape", "round", received.properties["shape"])
    kit.expect_equal("city", "Zürich", received.properties["city"])
    kit.expect_equal("id", receipt.message_id, received.id)
    kit.expect_equal("attempt", 1, received.attempt)
    sender.shutdown()


def push_consume():
    """What was acknowledged does not come again to the group's next consumer."""
    topic, group = kit.topic(4), kit.group()
    sender = producer(topic)
    first, second = kit.Inbox(), kit.Inbox()
    consumer = listen(group, topic, first)
    early = send_all(sender, topic, "early", COUNT)
    kit.await_bodies(early, PATIENCE, first)
    consumer.shutdown()
    kit.expect_each_once(early, first)

    successor = listen(group, topic, second)
    late = send_all(sender, topic, "late", COUNT)
    kit.await_bodies(late, PATIENCE, second)
    kit.expect_equal("messages of the second consumer", COUNT, len(second.letters))
    leave(successor)
    sender.shutdown()


def simple_consume():
    topic = kit.topic(4)
    sender = producer(topic)
    consumer = simple_consumer(kit.group(), topic)
    sent = send_all(sender, topic, "simple", COUNT)
    inbox = kit.Inbox()
    drain(consumer, inbox, sent)
    kit.expect_each_once(sent, inbox)
    # Nothing comes back after the invisible time has passed: everything was acknowledged.
    end = time.monotonic() + INVISIBLE + 4
    while time.monotonic() < end:
        kit.expect_equal("received again", 0, len(consumer.receive(16, INVISIBLE)))
    consumer.shutdown()
    sender.shutdown()


def tag_filter():
    topic = kit.topic(1)
    sender = producer(topic)
    for tag in ["red", "blue", "green", "blue", "red", "green"]:
        sender.send(message(topic, tag, tag))
    inbox = kit.Inbox()
    consumer = push_consumer(kit.group(), topic, lambda got: inbox.put(got) or True, "red || green")
    inbox.await_count(4, PATIENCE)
    inbox.expect_silence(1)
    kit.expect_equal("bodies", ["green", "green", "red", "red"], sorted(inbox.bodies()))
    leave(consumer)
    sender.shutdown()


def long_poll():
    """A message wakes the waiting receiver at once: the poll itself would last five seconds."""
    topic = kit.topic(1)
    sender = producer(topic)
    consumer = simple_consumer(kit.group(), topic)
    send_all(sender, topic, "warm-up", 1)
    consumer.ack(receive_one(consumer))
    for number in range(3):
        waiting = consumer.receive_async(1, INVISIBLE)
        _expect_pending(waiting)
        send_all(sender, topic, f"wake{number}", 1)
        answered = time.monotonic()
        messages = waiting.result(timeout=20)
        waited = time.monotonic() - answered
        kit.expect_equal("received", 1, len(messages))
        consumer.ack(messages[0])
        assert waited < kit.WAKE_LIMIT, f"woken {waited:.2f} s after the send's answer"
    consumer.shutdown()
    sender.shutdown()


def _expect_pending(future):
    try:
        future.result(timeout=1.5)
    except TimeoutError:
        return
    raise AssertionError("the receive call did not wait")


def _received(topic, bodies):
    inbox = kit.Inbox()
    consumer = simple_consumer(kit.group(), topic)
    drain(consumer, inbox, bodies)
    kit.expect_each_once(bodies, inbox)
    consumer.shutdown()
    return inbox.letters


CASES = {
    "send-sync": send_sync,
    "send-async": send_async,
    "send-large-body": send_large_body,
    "round-trip": round_trip,
    "push-consume": push_consume,
    "simple-consume": simple_consume,
    "tag-filter": tag_filter,
    "long-poll": long_poll,
}
