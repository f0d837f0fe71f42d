"""Producers and consumers as the cases need them."""

import threading
import time

import kit
from rocketmq import (ClientConfiguration, ConsumeResult, Credentials, FilterExpression, Message,
                      MessageListener, Producer, PushConsumer, SimpleConsumer)
from rocketmq.v5.exception import InternalErrorException

PATIENCE = 60
# The shortest invisible duration that the protocol allows, in seconds.
INVISIBLE = 10
POLL = 5


def configuration(account=kit.OWN):
    """Signs as the account, or not at all."""
    credentials = Credentials(*account) if account else Credentials()
    return ClientConfiguration(kit.ENDPOINT, credentials, request_timeout=5)


def producer(topic):
    client = Producer(configuration(), [topic])
    client.startup()
    return client


def message(topic, body, tag=None, keys=(), properties=None):
    built = Message()
    built.topic = topic
    built.body = body.encode()
    if tag:
        built.tag = tag
    for key in keys:
        built.keys = key
    for name, value in (properties or {}).items():
        built.add_property(name, value)
    return built


def send_all(client, topic, word, count):
    sent = kit.bodies(word, count)
    for body in sent:
        client.send(message(topic, body))
    return sent


def simple_consumer(group, topic):
    client = SimpleConsumer(configuration(), group, {topic: FilterExpression()}, await_duration=POLL)
    client.startup()
    return client


class _Listener(MessageListener):
    def __init__(self, verdict):
        self._verdict = verdict

    def consume(self, received):
        return ConsumeResult.SUCCESS if self._verdict(letter(received)) else ConsumeResult.FAILURE


def push_consumer(group, topic, verdict, tags="*"):
    """A consumer that succeeds or fails on a message as the verdict says."""
    client = PushConsumer(configuration(), group, _Listener(verdict), {topic: FilterExpression(tags)})
    client.startup()
    return client


def listen(group, topic, inbox):
    """A consumer that puts everything into the inbox and succeeds."""

    def take(received):
        inbox.put(received)
        return True

    return push_consumer(group, topic, take)


def leave(consumer):
    """Stops a consumer without waiting for it: its open long polls may take a while to end."""
    threading.Thread(target=consumer.shutdown, daemon=True).start()


def receive(consumer, at_most):
    """One long poll. This client starts without waiting until its settings have reached the server, and the real
    server refuses a receive call that comes before them."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return consumer.receive(at_most, INVISIBLE)
        except InternalErrorException as refused:
            if "settings" not in str(refused) or time.monotonic() > deadline:
                raise


def receive_one(consumer):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        messages = receive(consumer, 1)
        if messages:
            return messages[0]
    raise AssertionError("nothing received")


def drain(consumer, inbox, bodies):
    """Receives and acknowledges until all these bodies are in the inbox."""
    deadline = time.monotonic() + PATIENCE
    while not set(bodies) <= set(inbox.bodies()):
        assert time.monotonic() < deadline, f"received {len(inbox.letters)} of {len(bodies)}"
        for received in receive(consumer, 16):
            inbox.put(letter(received))
            consumer.ack(received)


def letter(received):
    return kit.Letter(
        body=received.body.decode(),
        tag=received.tag,
        keys=set(received.keys),
        properties=dict(received.properties),
        attempt=received.delivery_attempt,
        id=received.message_id,
    )
