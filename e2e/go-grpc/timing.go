package main

import (
	"context"
	"fmt"
	"time"

	"apogee/e2e/kit"
)

// roundTrip is what a push consumer takes to hear of a message by its long poll; the machine is busy.
const roundTrip = 3 * time.Second

func timedCases() []kit.Case {
	return []kit.Case{{Name: "timed-deliver", Play: timedDeliver}}
}

func timedDeliver() {
	topic := kit.Unique("timed")
	kit.Operator(fmt.Sprintf("topic %s DELAY 2", topic))
	producer := driver{}.Producer(topic).(*producer)
	defer producer.Stop()
	inbox := kit.NewInbox()
	times := make(chan time.Time, 100)
	consumer := driver{}.PushConsumer(kit.Subscription{Group: kit.Group(), Topic: topic, Tags: "*"},
		func(letter kit.Letter) bool {
			times <- time.Now()
			inbox.Put(letter)
			return true
		})
	defer consumer.Stop()
	due := time.Now().Add(5 * time.Second).Truncate(time.Second)
	bodies := kit.Bodies("later", 10)
	for _, body := range bodies {
		message := producer.message(kit.Letter{Body: body})
		message.SetDelayTimestamp(due)
		_, err := producer.client.Send(context.Background(), message)
		kit.Must(err)
	}
	kit.AwaitBodies(bodies, kit.Patience, inbox)
	kit.EachOnce(bodies, inbox)
	for range bodies {
		late := (<-times).Sub(due)
		kit.That(fmt.Sprintf("%v after its time", late), late >= 0 && late < roundTrip)
	}
}
