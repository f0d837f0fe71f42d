package kit

import (
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// KillLoop sends numbered messages without end until the harness says stop; consumers go on until the harness
// ends the process. Consumers are started by the caller, and report by Received.
func KillLoop(prefix string, producers []Producer) {
	rate, err := strconv.Atoi(os.Getenv("RATE"))
	Must(err)
	var stopped atomic.Bool
	var senders sync.WaitGroup
	for number, producer := range producers {
		name := fmt.Sprintf("%s-%d", prefix, number)
		senders.Go(func() {
			for sequence := 0; !stopped.Load(); sequence++ {
				// After an error the outcome is open: the message may be stored or not.
				if _, err := producer.Send(Letter{Body: numbered(name, sequence)}); err == nil {
					Say(fmt.Sprintf("ACKED %s %d", name, sequence))
				}
				time.Sleep(time.Second / time.Duration(rate))
			}
		})
	}
	AwaitOrder("STOP")
	stopped.Store(true)
	senders.Wait()
	Say("STOPPED")
	select {}
}

// Received tells the harness what came.
func Received(body string) {
	parts := strings.Split(body, " ")
	if len(parts) == 3 {
		if sequence, err := strconv.Atoi(parts[1]); err == nil && body == numbered(parts[0], sequence) {
			Say(fmt.Sprintf("CONSUMED %s %d", parts[0], sequence))
			return
		}
	}
	Say("CORRUPT " + oneLine(body))
}

// numbered is a body `producer sequence checksum`.
func numbered(producer string, sequence int) string {
	text := fmt.Sprintf("%s %d", producer, sequence)
	return fmt.Sprintf("%s %x", text, crc32.ChecksumIEEE([]byte(text)))
}
