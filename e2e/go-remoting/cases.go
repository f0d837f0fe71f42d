package main

import (
	"context"
	"fmt"
	"time"

	"apogee/e2e/kit"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func sendOneway() {
	topic := kit.Topic(4)
	s := driver{}.Producer(topic).(*sender)
	defer s.Stop()
	bodies := kit.Bodies("oneway", 20)
	for _, body := range bodies {
		kit.Must(s.client.SendOneWay(context.Background(), s.message(kit.Letter{Body: body})))
	}
	expectConsumed(topic, bodies)
}

func sendBatch() {
	topic := kit.Topic(4)
	s := driver{}.Producer(topic).(*sender)
	defer s.Stop()
	bodies := kit.Bodies("batch", 20)
	var messages []*primitive.Message
	for _, body := range bodies {
		messages = append(messages, s.message(kit.Letter{Body: body}))
	}
	_, err := s.client.SendSync(context.Background(), messages...)
	kit.Must(err)
	expectConsumed(topic, bodies)
}

func pull() {
	topic := kit.Topic(1)
	s := driver{}.Producer(topic)
	defer s.Stop()
	bodies := kit.SendAll(s, "pulled", 10)
	client, err := rocketmq.NewPullConsumer(
		consumer.WithCredentials(own),
		consumer.WithNameServer([]string{kit.Namesrv}),
		consumer.WithGroupName(kit.Group()),
		consumer.WithInstance(kit.Unique("instance")),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	)
	kit.Must(err)
	kit.Must(client.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}))
	kit.Must(client.Start())
	defer client.Shutdown()
	inbox := kit.NewInbox()
	for deadline := time.Now().Add(kit.Patience); len(inbox.Letters()) < len(bodies); {
		kit.That(fmt.Sprintf("polled %d in time", len(inbox.Letters())), time.Now().Before(deadline))
		request, err := client.Poll(context.Background(), 2*time.Second)
		if consumer.IsNoNewMsgError(err) {
			continue
		}
		kit.Must(err)
		for _, message := range request.GetMsgList() {
			inbox.Put(letterOf(message))
		}
		client.ACK(context.Background(), request, consumer.ConsumeSuccess)
	}
	kit.EachOnce(bodies, inbox)
}

func expectConsumed(topic string, bodies []string) {
	inbox := kit.NewInbox()
	reader := kit.Listen(driver{}, kit.Group(), topic, inbox)
	defer kit.Leave(reader)
	kit.AwaitBodies(bodies, kit.Patience, inbox)
	kit.EachOnce(bodies, inbox)
}
