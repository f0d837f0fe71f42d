package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"apogee/e2e/kit"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
)

// orderedCases are about groups that are delivered in order; bodies are `key-number`.
func orderedCases() []kit.Case {
	return []kit.Case{
		{Name: "fifo-push", Play: fifoPush},
		{Name: "fifo-simple", Play: fifoSimple},
	}
}

func fifoTopic(queues int) string {
	name := kit.Unique("fifo")
	kit.Operator(fmt.Sprintf("topic %s FIFO %d", name, queues))
	return name
}

func sendKeyed(client rmq.Producer, topic, key string, number int) {
	message := &rmq.Message{Topic: topic, Body: fmt.Appendf(nil, "%s-%d", key, number)}
	message.SetMessageGroup(key)
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	_, err := client.Send(ctx, message)
	kit.Must(err)
}

// One message of each key fails once: the later ones wait for it.
func fifoPush() {
	const keys, each = 4, 8
	topic := fifoTopic(2)
	sender := driver{}.Producer(topic).(*producer)
	defer sender.Stop()
	inbox := kit.NewInbox()
	var failed sync.Map
	verdict := func(letter kit.Letter) bool {
		inbox.Put(letter)
		_, again := failed.LoadOrStore(letter.Body, true)
		return again || !strings.HasSuffix(letter.Body, "-3")
	}
	group := kit.Group("orderly=1", "retries=8", "step-ms=500")
	consumer := driver{}.PushConsumer(kit.Subscription{Group: group, Topic: topic, Tags: "*"}, verdict)
	for number := range each {
		for key := range keys {
			sendKeyed(sender.client, topic, fmt.Sprintf("key%d", key), number)
		}
	}
	inbox.Await(keys*(each+1), kit.Patience)
	for key := range keys {
		var expected, got []string
		for _, number := range []int{0, 1, 2, 3, 3, 4, 5, 6, 7} {
			expected = append(expected, fmt.Sprintf("key%d-%d", key, number))
		}
		for _, letter := range inbox.Letters() {
			if strings.HasPrefix(letter.Body, fmt.Sprintf("key%d-", key)) {
				got = append(got, letter.Body)
			}
		}
		kit.Equal("order", expected, got)
	}
	// Its close lasts as long as its open long polls.
	go consumer.Stop()
}

// What is not acknowledged keeps its key back, and comes again before the rest of it.
func fifoSimple() {
	topic := fifoTopic(1)
	sender := driver{}.Producer(topic).(*producer)
	defer sender.Stop()
	consumer := startSimple(kit.Group("orderly=1"), topic)
	defer consumer.GracefulStop()
	sendKeyed(sender.client, topic, "held", 0)
	sendKeyed(sender.client, topic, "held", 1)
	sendKeyed(sender.client, topic, "free", 0)
	kit.Equal("first", "held-0", string(receiveOne(consumer).GetBody()))
	free := receiveOne(consumer)
	kit.Equal("the other key", "free-0", string(free.GetBody()))
	kit.Must(consumer.Ack(context.Background(), free))
	var rest []string
	for deadline := time.Now().Add(kit.Patience); len(rest) < 2 && time.Now().Before(deadline); {
		for _, message := range receive(consumer, 16) {
			rest = append(rest, fmt.Sprintf("%s %d", message.GetBody(), message.GetDeliveryAttempt()))
			kit.Must(consumer.Ack(context.Background(), message))
		}
	}
	kit.Equal("the key", []string{"held-0 2", "held-1 1"}, rest)
}
