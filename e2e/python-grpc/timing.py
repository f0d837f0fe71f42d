"""Timed messages, and their recall."""

import time

import kit
from clients import PATIENCE, leave, message, producer, push_consumer

COUNT = 10
# A push consumer hears of a message by its long poll, in seconds; the machine is busy.
ROUND_TRIP = 3


def _topic():
    name = kit.unique("timed")
    kit.operator(f"topic {name} DELAY 2")
    return name


def _send(sender, topic, body, due):
    # The client's property has whole seconds.
    later = message(topic, body)
    later.delivery_timestamp = due
    return sender.send(later)


def deliver():
    topic = _topic()
    sender, inbox, times = producer(topic), kit.Inbox(), {}

    def take(letter):
        times[letter.body] = time.time()
        inbox.put(letter)
        return True

    consumer = push_consumer(kit.group(), topic, take)
    due = int(time.time()) + 5
    for number, body in enumerate(kit.bodies("later", COUNT)):
        _send(sender, topic, body, due + number % 3)
    kit.await_bodies(kit.bodies("later", COUNT), PATIENCE, inbox)
    kit.expect_each_once(kit.bodies("later", COUNT), inbox)
    for number, body in enumerate(kit.bodies("later", COUNT)):
        late = times[body] - (due + number % 3)
        assert 0 <= late < ROUND_TRIP, f"{body} came {late} s after its time"
    leave(consumer)
    sender.shutdown()


def recall():
    topic = _topic()
    sender, inbox = producer(topic), kit.Inbox()

    def take(letter):
        inbox.put(letter)
        return True

    consumer = push_consumer(kit.group(), topic, take)
    due = int(time.time()) + 7
    for number in range(COUNT):
        gone = _send(sender, topic, f"gone-{number}", due)
        _send(sender, topic, f"kept-{number}", due)
        kit.expect_equal("id", gone.message_id, sender.recall_message(topic, gone.recall_handle))
    kit.await_bodies(kit.bodies("kept", COUNT), PATIENCE, inbox)
    inbox.expect_silence(3)
    kit.expect_each_once(kit.bodies("kept", COUNT), inbox)
    leave(consumer)
    sender.shutdown()


CASES = {"timed-deliver": deliver, "timed-recall": recall}
