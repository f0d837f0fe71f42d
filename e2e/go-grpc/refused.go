package main

import (
	"context"
	"strings"

	"apogee/e2e/kit"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
)

// attempt sends one message as somebody.
func attempt(account kit.Account, topic string) error {
	client, err := rmq.NewProducer(configAs(account, ""), rmq.WithTopics(topic))
	if err != nil {
		return err
	}
	if err := client.Start(); err != nil {
		return err
	}
	defer client.GracefulStop()
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	_, err = client.Send(ctx, &rmq.Message{Topic: topic, Body: []byte("may I?")})
	return err
}

func isRefusal(err error) bool {
	// The client puts the code's name into a text of its own.
	return strings.Contains(err.Error(), "CODE: UNAUTHORIZED")
}
