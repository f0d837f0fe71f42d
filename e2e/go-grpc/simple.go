package main

import (
	"context"
	"fmt"
	"time"

	"apogee/e2e/kit"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
)

const (
	// invisible is the shortest duration that the protocol allows.
	invisible = 10 * time.Second
	poll      = 5 * time.Second
)

func simpleCases() []kit.Case {
	return []kit.Case{
		{Name: "simple-consume", Play: simpleConsume},
		{Name: "retry-simple", Play: retrySimple},
		{Name: "change-invisible", Play: changeInvisible},
		{Name: "long-poll", Play: longPoll},
	}
}

func simpleConsume() {
	topic := kit.Topic(4)
	producer := driver{}.Producer(topic)
	defer producer.Stop()
	consumer := startSimple(kit.Group(), topic)
	defer consumer.GracefulStop()
	bodies := kit.SendAll(producer, "simple", 20)
	inbox := kit.NewInbox()
	for deadline := time.Now().Add(kit.Patience); len(inbox.Letters()) < len(bodies); {
		kit.That("all received in time", time.Now().Before(deadline))
		for _, message := range receive(consumer, 16) {
			inbox.Put(letterOf(message))
			acknowledge(consumer, message)
		}
	}
	kit.EachOnce(bodies, inbox)
	// Nothing comes back after the invisible time has passed: everything was acknowledged.
	for end := time.Now().Add(invisible + 4*time.Second); time.Now().Before(end); {
		kit.Equal("received again", 0, len(receive(consumer, 16)))
	}
}

// Without an acknowledgement the message becomes visible again, and its attempts are counted.
func retrySimple() {
	topic := kit.Topic(1)
	producer := driver{}.Producer(topic)
	defer producer.Stop()
	consumer := startSimple(kit.Group(), topic)
	defer consumer.GracefulStop()
	kit.SendAll(producer, "take-your-time", 1)
	first := receiveOne(consumer)
	received := time.Now()
	second := receiveOne(consumer)
	hidden := time.Since(received)
	kit.Must(consumer.Ack(context.Background(), second))
	kit.Equal("first attempt", 1, int(first.GetDeliveryAttempt()))
	kit.Equal("second attempt", 2, int(second.GetDeliveryAttempt()))
	kit.Equal("id", first.GetMessageId(), second.GetMessageId())
	kit.That(fmt.Sprintf("hidden for %v", hidden), hidden >= invisible-time.Second)
}

// A longer invisible duration counts from the moment of its change.
func changeInvisible() {
	topic := kit.Topic(1)
	producer := driver{}.Producer(topic)
	defer producer.Stop()
	consumer := startSimple(kit.Group(), topic)
	defer consumer.GracefulStop()
	kit.SendAll(producer, "not-yet", 1)
	first := receiveOne(consumer)
	kit.Must(consumer.ChangeInvisibleDuration(first, 15*time.Second))
	changed := time.Now()
	second := receiveOne(consumer)
	hidden := time.Since(changed)
	kit.Must(consumer.Ack(context.Background(), second))
	kit.That(fmt.Sprintf("hidden for %v", hidden), hidden >= 14*time.Second)
}

// A message wakes the waiting receiver at once: the poll itself would last five seconds.
func longPoll() {
	topic := kit.Topic(1)
	producer := driver{}.Producer(topic)
	defer producer.Stop()
	consumer := startSimple(kit.Group(), topic)
	defer consumer.GracefulStop()
	kit.SendAll(producer, "warm-up", 1)
	acknowledge(consumer, receiveOne(consumer))
	for number := range 3 {
		waiting := make(chan []*rmq.MessageView, 1)
		go func() { waiting <- receive(consumer, 1) }()
		select {
		case <-waiting:
			panic("the receive call did not wait")
		case <-time.After(1500 * time.Millisecond):
		}
		kit.SendAll(producer, fmt.Sprintf("wake%d", number), 1)
		answered := time.Now()
		messages := <-waiting
		waited := time.Since(answered)
		kit.Equal("received", 1, len(messages))
		acknowledge(consumer, messages[0])
		kit.That(fmt.Sprintf("woken %v after the send's answer", waited), waited < kit.WakeLimit)
	}
}

func startSimple(group, topic string) rmq.SimpleConsumer {
	consumer, err := rmq.NewSimpleConsumer(config(group),
		rmq.WithSimpleAwaitDuration(poll),
		rmq.WithSimpleSubscriptionExpressions(map[string]*rmq.FilterExpression{topic: rmq.SUB_ALL}))
	kit.Must(err)
	kit.Must(consumer.Start())
	return consumer
}

// receive makes one long poll; this client reports an empty answer as an error.
func receive(consumer rmq.SimpleConsumer, atMost int32) []*rmq.MessageView {
	messages, err := consumer.Receive(context.Background(), atMost, invisible)
	if err != nil {
		// An error that comes at once must not spin.
		time.Sleep(20 * time.Millisecond)
		return nil
	}
	return messages
}

func receiveOne(consumer rmq.SimpleConsumer) *rmq.MessageView {
	for deadline := time.Now().Add(kit.Patience); time.Now().Before(deadline); {
		if messages := receive(consumer, 1); len(messages) > 0 {
			return messages[0]
		}
	}
	panic("nothing received")
}

// acknowledge may fail while the server is away: then the message comes again.
func acknowledge(consumer rmq.SimpleConsumer, message *rmq.MessageView) {
	_ = consumer.Ack(context.Background(), message)
}
