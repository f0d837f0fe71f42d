"""The server goes away and comes back in the middle of sending and consuming."""

import kit
from clients import leave, listen, message, producer

PATIENCE = 150


def _survive(how):
    topic = kit.topic(4)
    client = producer(topic)
    inbox = kit.Inbox()
    consumer = listen(kit.group(), topic, inbox)
    sender = kit.SteadySender(lambda body: client.send(message(topic, body)))
    sender.await_more(50, PATIENCE)
    kit.restart(how)
    sender.await_more(50, PATIENCE)
    kit.await_bodies(sender.stop(), PATIENCE, inbox)
    leave(consumer)


CASES = {
    "restart-graceful": lambda: _survive("graceful"),
    "restart-kill": lambda: _survive("kill"),
}
