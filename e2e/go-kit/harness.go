// Package kit is what the Go programs share: the conversation with the harness that started them,
// an inbox for received messages, and the scenarios that every Go client plays.
package kit

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Namesrv and Endpoint are the addresses of the server under test.
var (
	Namesrv  = os.Getenv("NAMESRV")
	Endpoint = os.Getenv("ENDPOINT")
)

var (
	runID  = os.Getenv("RUN_ID")
	names  atomic.Int64
	output = harnessOutput()
	outMu  sync.Mutex
	askMu  sync.Mutex
	input  = bufio.NewReader(os.Stdin)
)

// harnessOutput keeps standard output for us; what clients print belongs into the log.
func harnessOutput() *os.File {
	own := os.Stdout
	os.Stdout = os.Stderr
	return own
}

// Case passes when it returns; it fails by a panic.
type Case struct {
	Name string
	Play func()
}

// Run plays the cases that the filter lets through: side by side, then those alone that restart the server, as
// their names say.
func Run(cases []Case) {
	var playing sync.WaitGroup
	places := make(chan struct{}, atOnce())
	for _, c := range cases {
		if wanted(c.Name) && !alone(c.Name) {
			places <- struct{}{}
			playing.Go(func() {
				play(c)
				<-places
			})
		}
	}
	playing.Wait()
	for _, c := range cases {
		if wanted(c.Name) && alone(c.Name) {
			play(c)
		}
	}
	Say("DONE")
	os.Exit(0)
}

func play(c Case) {
	Say("CASE " + c.Name)
	defer func() {
		if reason := recover(); reason != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s\n", reason, debug.Stack())
			Say(fmt.Sprintf("FAIL %s %s", c.Name, oneLine(fmt.Sprint(reason))))
		}
	}()
	c.Play()
	Say("PASS " + c.Name)
}

func atOnce() int {
	count, err := strconv.Atoi(os.Getenv("CASES_AT_ONCE"))
	if err != nil {
		return 1
	}
	return count
}

func alone(name string) bool {
	return strings.Contains(name, "restart")
}

func wanted(name string) bool {
	filter := os.Getenv("CASE_FILTER")
	if filter == "" {
		return true
	}
	for _, word := range strings.Split(filter, ",") {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// Topic makes a topic of normal messages.
func Topic(queues int) string {
	name := Unique("topic")
	Operator(fmt.Sprintf("topic %s NORMAL %d", name, queues))
	return name
}

// Group makes a group; options as the operator takes them.
func Group(options ...string) string {
	name := Unique("group")
	Operator(strings.TrimSpace("group " + name + " " + strings.Join(options, " ")))
	return name
}

// Unique gives a name that no other run and no other case has.
func Unique(word string) string {
	return fmt.Sprintf("%s-%s-%d", word, runID, names.Add(1))
}

// Operator has a command of the admin client carried out.
func Operator(command string) {
	ask("OPERATOR "+command, "OPERATED")
}

// Restart returns when the server is up again; how is graceful or kill.
func Restart(how string) {
	ask("RESTART "+how, "RESTARTED")
}

func ask(question, expected string) {
	askMu.Lock()
	defer askMu.Unlock()
	Say(question)
	AwaitOrder(expected)
}

// AwaitOrder waits for a line of the harness.
func AwaitOrder(order string) {
	line, err := input.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != order {
		panic(fmt.Sprintf("expected %s of the harness, got %q %v", order, line, err))
	}
}

// Say tells the harness one line.
func Say(line string) {
	outMu.Lock()
	defer outMu.Unlock()
	fmt.Fprintln(output, line)
}

func oneLine(text string) string {
	return strings.ReplaceAll(text, "\n", " ")
}
