"""Who does not prove who it is, or may not, is refused. This client asks for a route before all else, and hides with
which code that was refused."""

import kit
from clients import configuration, message, producer
from rocketmq import Producer


def refused_send():
    topic = kit.topic(1)
    strangers = [(kit.OWN[0], "not its secret"), ("nobody", "nobody-secret"), ("disabled", "disabled-secret"),
                 ("guest", "guest-secret"), None]
    for stranger in strangers:
        _expect_refusal(stranger, topic)
    sender = producer(topic)
    sender.send(message(topic, "let through"))
    sender.shutdown()


def refused_topic():
    """Its user may send to any topic but this one."""
    closed = kit.unique("closed")
    kit.operator(f"topic {closed} NORMAL 1")
    _expect_refusal(kit.OWN, closed)


def _expect_refusal(account, topic):
    try:
        client = Producer(configuration(account), [topic])
        client.startup()
        client.send(message(topic, "not to be taken"))
    except Exception as refused:
        assert "route" in str(refused), refused
        return
    raise AssertionError(f"{account}: nobody minds")


CASES = {"refused-send": refused_send, "refused-topic": refused_topic} if kit.OWN else {}
