package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"apogee/e2e/kit"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const sendTimeout = 5 * time.Second

type driver struct{}

type sender struct {
	client rocketmq.Producer
	topic  string
}

type listener struct {
	client rocketmq.PushConsumer
}

// own signs, where the server asks for that.
var own = primitive.Credentials{AccessKey: kit.Own.Key, SecretKey: kit.Own.Secret}

func (driver) Producer(topic string) kit.Producer {
	client, err := rocketmq.NewProducer(
		producer.WithCredentials(own),
		producer.WithNameServer([]string{kit.Namesrv}),
		producer.WithGroupName(kit.Unique("producers")),
		producer.WithInstanceName(kit.Unique("instance")),
		producer.WithSendMsgTimeout(sendTimeout),
		producer.WithRetry(2),
	)
	kit.Must(err)
	kit.Must(client.Start())
	return &sender{client, topic}
}

func (s *sender) Send(letter kit.Letter) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*sendTimeout)
	defer cancel()
	result, err := s.client.SendSync(ctx, s.message(letter))
	return idOf(result, err)
}

func (s *sender) SendAsync(letter kit.Letter, done func(string, error)) {
	kit.Must(s.client.SendAsync(context.Background(),
		func(_ context.Context, result *primitive.SendResult, err error) { done(idOf(result, err)) },
		s.message(letter)))
}

func (s *sender) Stop() {
	kit.Must(s.client.Shutdown())
}

func idOf(result *primitive.SendResult, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if result.Status != primitive.SendOK {
		return "", errors.New("the send result is not OK")
	}
	return result.MsgID, nil
}

func (s *sender) message(letter kit.Letter) *primitive.Message {
	message := primitive.NewMessage(s.topic, []byte(letter.Body))
	if letter.Tag != "" {
		message.WithTag(letter.Tag)
	}
	if len(letter.Keys) > 0 {
		message.WithKeys(letter.Keys)
	}
	for key, value := range letter.Properties {
		message.WithProperty(key, value)
	}
	return message
}

func (driver) PushConsumer(subscription kit.Subscription, verdict func(kit.Letter) bool) kit.Consumer {
	options := []consumer.Option{
		consumer.WithCredentials(own),
		consumer.WithNameServer([]string{kit.Namesrv}),
		consumer.WithGroupName(subscription.Group),
		consumer.WithInstance(kit.Unique("instance")),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}
	if subscription.MaxRetries > 0 {
		options = append(options, consumer.WithMaxReconsumeTimes(subscription.MaxRetries))
	}
	client, err := rocketmq.NewPushConsumer(options...)
	kit.Must(err)
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: subscription.Tags}
	kit.Must(client.Subscribe(subscription.Topic, selector,
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			if verdict(letterOf(messages[0])) {
				return consumer.ConsumeSuccess, nil
			}
			if concurrently, ok := primitive.GetConcurrentlyCtx(ctx); ok {
				concurrently.DelayLevelWhenNextConsume = 1
			}
			return consumer.ConsumeRetryLater, nil
		}))
	kit.Must(client.Start())
	return &listener{client}
}

func (l *listener) Stop() {
	kit.Must(l.client.Shutdown())
}

func (driver) FirstOf(topic string) kit.Letter {
	inbox := kit.NewInbox()
	reader := kit.Listen(driver{}, kit.Group(), topic, inbox)
	defer kit.Leave(reader)
	return inbox.Await(1, kit.Patience)[0]
}

func letterOf(message *primitive.MessageExt) kit.Letter {
	return kit.Letter{
		Body:       string(message.Body),
		Tag:        message.GetTags(),
		Keys:       strings.Fields(message.GetKeys()),
		Properties: message.GetProperties(),
		Attempt:    int(message.ReconsumeTimes) + 1,
		ID:         message.MsgId,
	}
}
