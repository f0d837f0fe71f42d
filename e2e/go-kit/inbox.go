package kit

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Letter is a message, whichever client carries it. The first attempt is 1.
type Letter struct {
	Body       string
	Tag        string
	Keys       []string
	Properties map[string]string
	Attempt    int
	ID         string
}

// Inbox is where received messages are put by listeners and awaited by cases.
type Inbox struct {
	mu      sync.Mutex
	letters []Letter
	changed chan struct{}
}

// NewInbox is empty.
func NewInbox() *Inbox {
	return &Inbox{changed: make(chan struct{})}
}

// Put wakes whoever waits.
func (inbox *Inbox) Put(letter Letter) {
	inbox.mu.Lock()
	defer inbox.mu.Unlock()
	inbox.letters = append(inbox.letters, letter)
	close(inbox.changed)
	inbox.changed = make(chan struct{})
}

// Letters received so far.
func (inbox *Inbox) Letters() []Letter {
	letters, _ := inbox.look()
	return letters
}

func (inbox *Inbox) look() ([]Letter, <-chan struct{}) {
	inbox.mu.Lock()
	defer inbox.mu.Unlock()
	return append([]Letter(nil), inbox.letters...), inbox.changed
}

// Await waits for so many messages.
func (inbox *Inbox) Await(count int, patience time.Duration) []Letter {
	await(fmt.Sprintf("%d messages", count), patience, func() bool { return len(inbox.Letters()) >= count }, inbox)
	return inbox.Letters()
}

// AwaitBodies waits until each of these was received at least once, by any of the inboxes.
func AwaitBodies(bodies []string, patience time.Duration, inboxes ...*Inbox) {
	what := fmt.Sprintf("all of %d messages", len(bodies))
	await(what, patience, func() bool { return len(missing(bodies, inboxes)) == 0 }, inboxes...)
}

// ExpectSilence asserts that nothing arrives for a while.
func (inbox *Inbox) ExpectSilence(duration time.Duration) {
	before, changed := inbox.look()
	select {
	case <-changed:
		panic(fmt.Sprintf("unexpected: %+v", inbox.Letters()[len(before)]))
	case <-time.After(duration):
	}
}

// CountOf counts messages whose body is word-number.
func (inbox *Inbox) CountOf(word string) int {
	count := 0
	for _, letter := range inbox.Letters() {
		if strings.HasPrefix(letter.Body, word+"-") {
			count++
		}
	}
	return count
}

func (inbox *Inbox) deliveriesOf(body string) int {
	count := 0
	for _, letter := range inbox.Letters() {
		if letter.Body == body {
			count++
		}
	}
	return count
}

func missing(bodies []string, inboxes []*Inbox) []string {
	seen := map[string]bool{}
	for _, inbox := range inboxes {
		for _, letter := range inbox.Letters() {
			seen[letter.Body] = true
		}
	}
	var left []string
	for _, body := range bodies {
		if !seen[body] {
			left = append(left, body)
		}
	}
	return left
}

// await looks again whenever one of the inboxes changes.
func await(what string, patience time.Duration, holds func() bool, inboxes ...*Inbox) {
	deadline := time.After(patience)
	for {
		woken := make(chan struct{}, 1)
		done := make(chan struct{})
		for _, inbox := range inboxes {
			_, changed := inbox.look()
			go func() {
				select {
				case <-changed:
					select {
					case woken <- struct{}{}:
					default:
					}
				case <-done:
				}
			}()
		}
		if holds() {
			close(done)
			return
		}
		select {
		case <-woken:
			close(done)
		case <-deadline:
			close(done)
			panic(fmt.Sprintf("not within %v: %s", patience, what))
		}
	}
}
