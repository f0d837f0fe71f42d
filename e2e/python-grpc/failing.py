"""Consumption that fails: retry, redelivery, dead letters."""

import time

import kit
from clients import (INVISIBLE, PATIENCE, leave, letter, message, producer, push_consumer, receive_one, send_all,
                     simple_consumer)


def retry():
    topic = kit.topic(1)
    sender = producer(topic)
    inbox = kit.Inbox()

    def verdict(got):
        inbox.put(got)
        return got.attempt >= 3

    consumer = push_consumer(kit.group("step-ms=1000"), topic, verdict)
    receipt = sender.send(message(topic, "try me", "again"))
    for number, got in enumerate(inbox.await_count(3, PATIENCE), start=1):
        kit.expect_equal("attempt", number, got.attempt)
        kit.expect_equal("body", "try me", got.body)
        kit.expect_equal("tag", "again", got.tag)
        kit.expect_equal("id", receipt.message_id, got.id)
    # Success ends it: the next retry would be due after one second.
    inbox.expect_silence(4)
    leave(consumer)
    sender.shutdown()


def retry_simple():
    """Without an acknowledgement the message becomes visible again, and its attempts are counted."""
    topic = kit.topic(1)
    sender = producer(topic)
    consumer = simple_consumer(kit.group(), topic)
    send_all(sender, topic, "take-your-time", 1)
    first = receive_one(consumer)
    received = time.monotonic()
    second = receive_one(consumer)
    hidden = time.monotonic() - received
    consumer.ack(second)
    kit.expect_equal("attempts", [1, 2], [first.delivery_attempt, second.delivery_attempt])
    kit.expect_equal("id", first.message_id, second.message_id)
    assert hidden >= INVISIBLE - 1, f"hidden for {hidden:.1f} s"
    consumer.shutdown()
    sender.shutdown()


def change_invisible():
    """A longer invisible duration counts from the moment of its change."""
    topic = kit.topic(1)
    sender = producer(topic)
    consumer = simple_consumer(kit.group(), topic)
    send_all(sender, topic, "not-yet", 1)
    first = receive_one(consumer)
    consumer.change_invisible_duration(first, 15)
    changed = time.monotonic()
    second = receive_one(consumer)
    hidden = time.monotonic() - changed
    consumer.ack(second)
    assert hidden >= 14, f"hidden for {hidden:.1f} s"
    consumer.shutdown()
    sender.shutdown()


def dead_letter():
    topic, group = kit.topic(1), kit.group("retries=1", "step-ms=1000")
    sender = producer(topic)
    inbox = kit.Inbox()
    consumer = push_consumer(group, topic, inbox.put)  # put returns None: every attempt fails
    sender.send(message(topic, "never", "hopeless"))
    inbox.await_count(2, PATIENCE)
    # The dead-letter topic comes into being with its first message.
    dead_letters = f"%DLQ%{group}"
    kit.operator(f"await-topic {dead_letters}")
    reader = simple_consumer(kit.group(), dead_letters)
    dead = letter(receive_one(reader))
    kit.expect_equal("body", "never", dead.body)
    kit.expect_equal("tag", "hopeless", dead.tag)
    kit.expect_equal("attempts", 2, len(inbox.letters))
    reader.shutdown()
    leave(consumer)
    sender.shutdown()


CASES = {
    "retry": retry,
    "retry-simple": retry_simple,
    "change-invisible": change_invisible,
    "dead-letter": dead_letter,
}
