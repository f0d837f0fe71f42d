package main

import (
	"context"
	"sync"
	"time"

	"apogee/e2e/kit"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
)

const (
	transactions = 20
	// quiet is longer than the first check and one interval of the server under test.
	quiet = 9 * time.Second
)

// Half messages: what is committed is seen, once; what is left open is asked about.
func transactionCases() []kit.Case {
	return []kit.Case{
		{Name: "tx-commit-rollback", Play: commitAndRollback},
		{Name: "tx-check", Play: checkOpen},
		{Name: "tx-producer-gone", Play: producerGone},
	}
}

// decider answers checks, and remembers what it was asked.
type decider struct {
	mutex     sync.Mutex
	asked     map[string]int
	whenAsked func(body string) rmq.TransactionResolution
}

func unknown(string) rmq.TransactionResolution { return rmq.UNKNOWN }

func byNumber(body string) rmq.TransactionResolution {
	if kit.IsEven(body) {
		return rmq.COMMIT
	}
	return rmq.ROLLBACK
}

func newDecider(whenAsked func(string) rmq.TransactionResolution) *decider {
	return &decider{asked: map[string]int{}, whenAsked: whenAsked}
}

func (d *decider) count() int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return len(d.asked)
}

func (d *decider) check(message *rmq.MessageView) rmq.TransactionResolution {
	body := string(message.GetBody())
	d.mutex.Lock()
	d.asked[body]++
	d.mutex.Unlock()
	return d.whenAsked(body)
}

func (d *decider) producer(topic string) rmq.Producer {
	client, err := rmq.NewProducer(config(""), rmq.WithTopics(topic),
		rmq.WithTransactionChecker(&rmq.TransactionChecker{Check: d.check}))
	kit.Must(err)
	// By default it sends again after three seconds, and a disk may stall for longer: then there are two messages.
	patient, isPatient := client.(interface{ SetRequestTimeout(time.Duration) })
	kit.That("the client's patience can be set", isPatient)
	patient.SetRequestTimeout(sendTimeout)
	kit.Must(client.Start())
	return client
}

func transactionTopic() string {
	name := kit.Unique("topic")
	kit.Operator("topic " + name + " TRANSACTION 4")
	return name
}

func sendHalf(client rmq.Producer, topic, body string) rmq.Transaction {
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	transaction := client.BeginTransaction()
	_, err := client.SendWithTransaction(ctx, &rmq.Message{Topic: topic, Body: []byte(body)}, transaction)
	kit.Must(err)
	return transaction
}

func commitAndRollback() {
	topic := transactionTopic()
	decides := newDecider(unknown)
	client := decides.producer(topic)
	defer client.GracefulStop()
	bodies := kit.Bodies("settled", transactions)
	for _, body := range bodies {
		transaction := sendHalf(client, topic, body)
		if kit.IsEven(body) {
			kit.Must(transaction.Commit())
		} else {
			kit.Must(transaction.RollBack())
		}
	}
	expectEven(topic, bodies)
	kit.Equal("checks of what was decided", 0, decides.count())
}

func checkOpen() {
	topic := transactionTopic()
	decides := newDecider(byNumber)
	client := decides.producer(topic)
	defer client.GracefulStop()
	bodies := kit.Bodies("open", transactions)
	for _, body := range bodies {
		sendHalf(client, topic, body)
	}
	expectEven(topic, bodies)
	kit.Equal("asked about", transactions, decides.count())
}

// A producer leaves between half message and outcome: another one of the topic is asked and decides.
func producerGone() {
	topic := transactionTopic()
	first := newDecider(unknown).producer(topic)
	bodies := kit.Bodies("orphan", transactions)
	for _, body := range bodies {
		sendHalf(first, topic, body)
	}
	kit.Must(first.GracefulStop())
	heir := newDecider(byNumber)
	client := heir.producer(topic)
	defer client.GracefulStop()
	expectEven(topic, bodies)
	kit.Equal("asked about", transactions, heir.count())
}

// The committed half is received, once; then nothing more for a while.
func expectEven(topic string, bodies []string) {
	var wanted []string
	for _, body := range bodies {
		if kit.IsEven(body) {
			wanted = append(wanted, body)
		}
	}
	consumer := startSimple(kit.Group(), topic)
	defer consumer.GracefulStop()
	inbox := kit.NewInbox()
	take := func() {
		for _, message := range receive(consumer, 16) {
			inbox.Put(letterOf(message))
			acknowledge(consumer, message)
		}
	}
	for deadline := time.Now().Add(kit.Patience); len(inbox.Letters()) < len(wanted); {
		kit.That("all received in time", time.Now().Before(deadline))
		take()
	}
	for end := time.Now().Add(quiet); time.Now().Before(end); {
		take()
	}
	kit.EachOnce(wanted, inbox)
	kit.Equal("received", len(wanted), len(inbox.Letters()))
}
