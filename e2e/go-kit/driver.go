package kit

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Patience bounds every wait of a case that says nothing else.
const Patience = 60 * time.Second

// Driver is a client library as the scenarios see it.
type Driver interface {
	Producer(topic string) Producer
	// PushConsumer succeeds or fails on a message as the verdict says.
	PushConsumer(subscription Subscription, verdict func(Letter) bool) Consumer
	// FirstOf reads the first message of a topic.
	FirstOf(topic string) Letter
}

// Subscription of a group to a topic. MaxRetries matters to clients that decide on dead letters themselves;
// nought leaves the library's default.
type Subscription struct {
	Group, Topic, Tags string
	MaxRetries         int32
}

// Producer is started, and bound to one topic.
type Producer interface {
	// Send returns the message's id once it is acknowledged.
	Send(letter Letter) (string, error)
	SendAsync(letter Letter, done func(id string, err error))
	Stop()
}

// Consumer is started.
type Consumer interface {
	Stop()
}

// Listen has a consumer put everything into the inbox, and succeed.
func Listen(driver Driver, group, topic string, inbox *Inbox) Consumer {
	return driver.PushConsumer(Subscription{Group: group, Topic: topic, Tags: "*"}, func(letter Letter) bool {
		inbox.Put(letter)
		return true
	})
}

// Leave stops a consumer without waiting for it: its open long polls may take a while to end.
func Leave(consumer Consumer) {
	go consumer.Stop()
}

// SendAll sends word-0 to word-(count-1), all of which must be acknowledged.
func SendAll(producer Producer, word string, count int) []string {
	bodies := Bodies(word, count)
	for _, body := range bodies {
		_, err := producer.Send(Letter{Body: body})
		Must(err)
	}
	return bodies
}

// AwaitBalance sends waves until one of them reaches both inboxes: from then on both consumers take part.
func AwaitBalance(producer Producer, one, other *Inbox) {
	for wave := range 200 {
		word := fmt.Sprintf("wave%d", wave)
		AwaitBodies(SendAll(producer, word, 16), Patience, one, other)
		if one.CountOf(word) > 0 && other.CountOf(word) > 0 {
			return
		}
	}
	panic("the group never balanced")
}

// SteadySender sends on and on, and remembers what was acknowledged.
type SteadySender struct {
	acknowledged chan string
	bodies       []string
	stopped      atomic.Bool
}

// NewSteadySender starts to send.
func NewSteadySender(producer Producer) *SteadySender {
	sender := &SteadySender{acknowledged: make(chan string, 1_000_000)}
	go func() {
		defer close(sender.acknowledged)
		for number := 0; !sender.stopped.Load(); number++ {
			body := fmt.Sprintf("steady-%d", number)
			// An error is no promise; the next one may do better.
			if _, err := producer.Send(Letter{Body: body}); err == nil {
				sender.acknowledged <- body
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return sender
}

// AwaitMore waits for so many more acknowledged sends from now on.
func (sender *SteadySender) AwaitMore(count int, patience time.Duration) {
	for len(sender.acknowledged) > 0 {
		sender.bodies = append(sender.bodies, <-sender.acknowledged)
	}
	deadline := time.After(patience)
	for range count {
		select {
		case body := <-sender.acknowledged:
			sender.bodies = append(sender.bodies, body)
		case <-deadline:
			panic(fmt.Sprintf("no %d more acknowledged sends within %v", count, patience))
		}
	}
}

// Stop returns everything that was acknowledged.
func (sender *SteadySender) Stop() []string {
	sender.stopped.Store(true)
	for body := range sender.acknowledged {
		sender.bodies = append(sender.bodies, body)
	}
	return sender.bodies
}
