"""Several consumers of one group."""

import kit
from clients import PATIENCE, leave, listen, producer, send_all

WAVE = 16


def share_group():
    topic, group = kit.topic(4), kit.group()
    sender = producer(topic)
    one, other = kit.Inbox(), kit.Inbox()
    first, second = listen(group, topic, one), listen(group, topic, other)
    _await_balance(sender, topic, one, other)
    shared = send_all(sender, topic, "shared", 40)
    kit.await_bodies(shared, PATIENCE, one, other)
    kit.expect_each_once(shared, one, other)
    leave(first)
    leave(second)
    sender.shutdown()


def join_leave():
    topic, group = kit.topic(4), kit.group()
    sender = producer(topic)
    staying, leaving = kit.Inbox(), kit.Inbox()
    leaver = listen(group, topic, leaving)
    sent = send_all(sender, topic, "alone", 20)
    stayer = listen(group, topic, staying)
    sent += send_all(sender, topic, "joining", 40)
    _await_balance(sender, topic, staying, leaving)
    sent += send_all(sender, topic, "leaving", 20)
    leaver.shutdown()
    left = send_all(sender, topic, "left", 20)
    kit.await_bodies(sent + left, 2 * PATIENCE, staying, leaving)
    kit.await_bodies(left, PATIENCE, staying)
    leave(stayer)
    sender.shutdown()


def two_groups():
    topic = kit.topic(4)
    sender = producer(topic)
    one, other = kit.Inbox(), kit.Inbox()
    first, second = listen(kit.group(), topic, one), listen(kit.group(), topic, other)
    copied = send_all(sender, topic, "copied", 20)
    for inbox in (one, other):
        kit.await_bodies(copied, PATIENCE, inbox)
        kit.expect_each_once(copied, inbox)
    leave(first)
    leave(second)
    sender.shutdown()


def _await_balance(sender, topic, one, other):
    """Sends waves until one of them reaches both: from then on both consumers take part."""
    for wave in range(200):
        word = f"wave{wave}"
        kit.await_bodies(send_all(sender, topic, word, WAVE), PATIENCE, one, other)
        if one.count_of(word) and other.count_of(word):
            return
    raise AssertionError("the group never balanced")


CASES = {"share-group": share_group, "join-leave": join_leave, "two-groups": two_groups}
