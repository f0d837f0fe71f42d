package main

import (
	"context"
	"time"

	"apogee/e2e/kit"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
	"github.com/apache/rocketmq-clients/golang/v5/credentials"
)

const sendTimeout = 10 * time.Second

type driver struct{}

type producer struct {
	client rmq.Producer
	topic  string
}

type consumer struct {
	client rmq.PushConsumer
}

func config(group string) *rmq.Config {
	return configAs(kit.Own, group)
}

func configAs(account kit.Account, group string) *rmq.Config {
	return &rmq.Config{
		Endpoint:      kit.Endpoint,
		ConsumerGroup: group,
		Credentials:   &credentials.SessionCredentials{AccessKey: account.Key, AccessSecret: account.Secret},
	}
}

func (driver) Producer(topic string) kit.Producer {
	client, err := rmq.NewProducer(config(""), rmq.WithTopics(topic))
	kit.Must(err)
	kit.Must(client.Start())
	return &producer{client, topic}
}

func (p *producer) Send(letter kit.Letter) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	receipts, err := p.client.Send(ctx, p.message(letter))
	if err != nil {
		return "", err
	}
	return receipts[0].MessageID, nil
}

func (p *producer) SendAsync(letter kit.Letter, done func(string, error)) {
	p.client.SendAsync(context.Background(), p.message(letter),
		func(_ context.Context, receipts []*rmq.SendReceipt, err error) {
			if err != nil {
				done("", err)
				return
			}
			done(receipts[0].MessageID, nil)
		})
}

func (p *producer) Stop() {
	kit.Must(p.client.GracefulStop())
}

func (p *producer) message(letter kit.Letter) *rmq.Message {
	message := &rmq.Message{Topic: p.topic, Body: []byte(letter.Body)}
	if letter.Tag != "" {
		message.SetTag(letter.Tag)
	}
	if len(letter.Keys) > 0 {
		message.SetKeys(letter.Keys...)
	}
	for key, value := range letter.Properties {
		message.AddProperty(key, value)
	}
	return message
}

func (driver) PushConsumer(subscription kit.Subscription, verdict func(kit.Letter) bool) kit.Consumer {
	tags := rmq.NewFilterExpression(subscription.Tags)
	client, err := rmq.NewPushConsumer(config(subscription.Group),
		rmq.WithPushAwaitDuration(5*time.Second),
		rmq.WithPushSubscriptionExpressions(map[string]*rmq.FilterExpression{subscription.Topic: tags}),
		rmq.WithPushMessageListener(&rmq.FuncMessageListener{
			Consume: func(message *rmq.MessageView) rmq.ConsumerResult {
				if verdict(letterOf(message)) {
					return rmq.SUCCESS
				}
				return rmq.FAILURE
			},
		}))
	kit.Must(err)
	kit.Must(client.Start())
	return &consumer{client}
}

func (c *consumer) Stop() {
	kit.Must(c.client.GracefulStop())
}

func (driver) FirstOf(topic string) kit.Letter {
	consumer := startSimple(kit.Group(), topic)
	defer consumer.GracefulStop()
	message := receiveOne(consumer)
	acknowledge(consumer, message)
	return letterOf(message)
}

func letterOf(message *rmq.MessageView) kit.Letter {
	tag := ""
	if message.GetTag() != nil {
		tag = *message.GetTag()
	}
	return kit.Letter{
		Body:       string(message.GetBody()),
		Tag:        tag,
		Keys:       message.GetKeys(),
		Properties: message.GetProperties(),
		Attempt:    int(message.GetDeliveryAttempt()),
		ID:         message.GetMessageId(),
	}
}
