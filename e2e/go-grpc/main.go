// The 5.x gRPC client for Go, with TLS as it is by default.
package main

import (
	"os"

	"apogee/e2e/kit"
)

func main() {
	if os.Args[1] == "kill" {
		killLoop()
		return
	}
	cases := kit.Scenarios(driver{})
	cases = append(cases, simpleCases()...)
	cases = append(cases, orderedCases()...)
	cases = append(cases, transactionCases()...)
	cases = append(cases, timedCases()...)
	cases = append(cases, kit.Refusals(attempt, isRefusal)...)
	kit.Run(append(cases, kit.Restarts(driver{})...))
}

func killLoop() {
	topic, group := kit.Topic(4), kit.Group("retries=1000")
	for range 2 {
		consumer := startSimple(group, topic)
		go func() {
			for {
				for _, message := range receive(consumer, 16) {
					kit.Received(string(message.GetBody()))
					acknowledge(consumer, message)
				}
			}
		}()
	}
	kit.KillLoop("go", []kit.Producer{driver{}.Producer(topic), driver{}.Producer(topic)})
}
