package kit

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

const (
	count           = 20
	restartPatience = 150 * time.Second
	// WakeLimit is far below what is left of every client's poll; the machine is busy.
	WakeLimit = 3 * time.Second
)

// Scenarios that every Go client plays.
func Scenarios(driver Driver) []Case {
	s := scenarios{driver}
	return []Case{
		{"send-sync", s.sendSync},
		{"send-async", s.sendAsync},
		{"send-large-body", s.sendLargeBody},
		{"round-trip", s.roundTrip},
		{"push-consume", s.pushConsume},
		{"tag-filter", s.tagFilter},
		{"retry", s.retry},
		{"dead-letter", s.deadLetter},
		{"long-poll-push", s.longPoll},
		{"share-group", s.shareGroup},
		{"join-leave", s.joinLeave},
		{"two-groups", s.twoGroups},
	}
}

// Restarts come last: they disturb everything.
func Restarts(driver Driver) []Case {
	s := scenarios{driver}
	return []Case{
		{"restart-graceful", func() { s.restart("graceful") }},
		{"restart-kill", func() { s.restart("kill") }},
	}
}

type scenarios struct {
	driver Driver
}

func (s scenarios) sendSync() {
	topic := Topic(4)
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	ids := map[string]bool{}
	for _, body := range Bodies("sync", count) {
		id, err := producer.Send(Letter{Body: body})
		Must(err)
		ids[id] = true
	}
	Equal("distinct ids", count, len(ids))
	for _, letter := range s.received(topic, Bodies("sync", count)) {
		That("the id "+letter.ID+" was given at the send", ids[letter.ID])
	}
}

func (s scenarios) sendAsync() {
	topic := Topic(4)
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	results := make(chan error, count)
	for _, body := range Bodies("async", count) {
		producer.SendAsync(Letter{Body: body}, func(_ string, err error) { results <- err })
	}
	for range count {
		select {
		case err := <-results:
			Must(err)
		case <-time.After(20 * time.Second):
			panic("a callback is missing")
		}
	}
	s.received(topic, Bodies("async", count))
}

// Larger than the clients' threshold, so it travels compressed where they compress.
func (s scenarios) sendLargeBody() {
	topic := Topic(1)
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	large := strings.Repeat("0123456789", 100_000)
	_, err := producer.Send(Letter{Body: large})
	Must(err)
	s.received(topic, []string{large})
}

func (s scenarios) roundTrip() {
	topic := Topic(1)
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	id, err := producer.Send(Letter{
		Body:       "Grüße, 世界",
		Tag:        "colour",
		Keys:       []string{"key-1", "key-2"},
		Properties: map[string]string{"shape": "round", "city": "Zürich"},
	})
	Must(err)
	letter := s.received(topic, []string{"Grüße, 世界"})[0]
	sort.Strings(letter.Keys)
	Equal("tag", "colour", letter.Tag)
	Equal("keys", []string{"key-1", "key-2"}, letter.Keys)
	Equal("shape", "round", letter.Properties["shape"])
	Equal("city", "Zürich", letter.Properties["city"])
	Equal("id", id, letter.ID)
	Equal("attempt", 1, letter.Attempt)
}

// What was acknowledged does not come again to the group's next consumer.
func (s scenarios) pushConsume() {
	topic, group := Topic(4), Group()
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	first, second := NewInbox(), NewInbox()
	consumer := Listen(s.driver, group, topic, first)
	early := SendAll(producer, "early", count)
	AwaitBodies(early, Patience, first)
	// The last success leaves the listener after its message came here: a stop at once could overtake it.
	first.ExpectSilence(500 * time.Millisecond)
	consumer.Stop()
	EachOnce(early, first)

	successor := Listen(s.driver, group, topic, second)
	defer Leave(successor)
	late := SendAll(producer, "late", count)
	AwaitBodies(late, Patience, second)
	Equal("messages of the second consumer", count, len(second.Letters()))
}

func (s scenarios) tagFilter() {
	topic := Topic(1)
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	for _, tag := range []string{"red", "blue", "green", "blue", "red", "green"} {
		_, err := producer.Send(Letter{Body: tag, Tag: tag})
		Must(err)
	}
	inbox := NewInbox()
	subscription := Subscription{Group: Group(), Topic: topic, Tags: "red || green"}
	consumer := s.driver.PushConsumer(subscription, func(letter Letter) bool {
		inbox.Put(letter)
		return true
	})
	defer Leave(consumer)
	inbox.Await(4, Patience)
	inbox.ExpectSilence(time.Second)
	Equal("red", 2, inbox.deliveriesOf("red"))
	Equal("green", 2, inbox.deliveriesOf("green"))
}

func (s scenarios) retry() {
	topic := Topic(1)
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	inbox := NewInbox()
	subscription := Subscription{Group: Group("step-ms=1000"), Topic: topic, Tags: "*"}
	consumer := s.driver.PushConsumer(subscription, func(letter Letter) bool {
		defer inbox.Put(letter)
		return letter.Attempt >= 3
	})
	defer Leave(consumer)
	id, err := producer.Send(Letter{Body: "try me", Tag: "again"})
	Must(err)
	for number, letter := range inbox.Await(3, Patience) {
		Equal("attempt", number+1, letter.Attempt)
		Equal("body", "try me", letter.Body)
		Equal("tag", "again", letter.Tag)
		Equal("id", id, letter.ID)
	}
	// Success ends it: the next retry would be due after one second.
	inbox.ExpectSilence(4 * time.Second)
}

func (s scenarios) deadLetter() {
	topic, group := Topic(1), Group("retries=1", "step-ms=1000")
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	inbox := NewInbox()
	subscription := Subscription{Group: group, Topic: topic, Tags: "*", MaxRetries: 1}
	consumer := s.driver.PushConsumer(subscription, func(letter Letter) bool {
		inbox.Put(letter)
		return false
	})
	defer Leave(consumer)
	_, err := producer.Send(Letter{Body: "never", Tag: "hopeless"})
	Must(err)
	inbox.Await(2, Patience)
	// The dead-letter topic comes into being with its first message.
	Operator("await-topic %DLQ%" + group)
	dead := s.driver.FirstOf("%DLQ%" + group)
	Equal("body", "never", dead.Body)
	Equal("tag", "hopeless", dead.Tag)
	Equal("attempts", 2, len(inbox.Letters()))
}

// A message wakes the waiting consumer at once: the poll itself would last many seconds.
func (s scenarios) longPoll() {
	topic := Topic(1)
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	inbox := NewInbox()
	consumer := Listen(s.driver, Group(), topic, inbox)
	defer Leave(consumer)
	SendAll(producer, "warm-up", 1)
	inbox.Await(1, Patience)
	for number := 2; number <= 4; number++ {
		inbox.ExpectSilence(1500 * time.Millisecond)
		SendAll(producer, fmt.Sprintf("wake%d", number), 1)
		answered := time.Now()
		inbox.Await(number, Patience)
		waited := time.Since(answered)
		That(fmt.Sprintf("woken %v after the send's answer", waited), waited < WakeLimit)
	}
}

func (s scenarios) shareGroup() {
	topic, group := Topic(4), Group()
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	one, other := NewInbox(), NewInbox()
	first := Listen(s.driver, group, topic, one)
	defer Leave(first)
	second := Listen(s.driver, group, topic, other)
	defer Leave(second)
	AwaitBalance(producer, one, other)
	bodies := SendAll(producer, "shared", 40)
	AwaitBodies(bodies, Patience, one, other)
	EachOnce(bodies, one, other)
}

func (s scenarios) joinLeave() {
	topic, group := Topic(4), Group()
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	staying, leaving := NewInbox(), NewInbox()
	leaver := Listen(s.driver, group, topic, leaving)
	bodies := SendAll(producer, "alone", 20)
	stayer := Listen(s.driver, group, topic, staying)
	defer Leave(stayer)
	bodies = append(bodies, SendAll(producer, "joining", 40)...)
	AwaitBalance(producer, staying, leaving)
	bodies = append(bodies, SendAll(producer, "leaving", 20)...)
	leaver.Stop()
	left := SendAll(producer, "left", 20)
	AwaitBodies(append(bodies, left...), 2*Patience, staying, leaving)
	AwaitBodies(left, Patience, staying)
}

func (s scenarios) twoGroups() {
	topic := Topic(4)
	producer := s.driver.Producer(topic)
	defer producer.Stop()
	one, other := NewInbox(), NewInbox()
	first := Listen(s.driver, Group(), topic, one)
	defer Leave(first)
	second := Listen(s.driver, Group(), topic, other)
	defer Leave(second)
	bodies := SendAll(producer, "copied", count)
	AwaitBodies(bodies, Patience, one)
	AwaitBodies(bodies, Patience, other)
	EachOnce(bodies, one)
	EachOnce(bodies, other)
}

// The server goes away and comes back in the middle of sending and consuming.
func (s scenarios) restart(how string) {
	topic := Topic(4)
	producer := s.driver.Producer(topic)
	inbox := NewInbox()
	consumer := Listen(s.driver, Group(), topic, inbox)
	defer Leave(consumer)
	sender := NewSteadySender(producer)
	sender.AwaitMore(50, restartPatience)
	Restart(how)
	sender.AwaitMore(50, restartPatience)
	AwaitBodies(sender.Stop(), restartPatience, inbox)
}

func (s scenarios) received(topic string, bodies []string) []Letter {
	inbox := NewInbox()
	consumer := Listen(s.driver, Group(), topic, inbox)
	defer Leave(consumer)
	AwaitBodies(bodies, Patience, inbox)
	EachOnce(bodies, inbox)
	return inbox.Letters()
}
