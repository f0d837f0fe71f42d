package kit

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Must ends the case when there is an error.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Equal compares deeply.
func Equal(what string, expected, actual any) {
	if !reflect.DeepEqual(expected, actual) {
		panic(fmt.Sprintf("%s: expected %v, got %v", what, expected, actual))
	}
}

// That ends the case when the claim does not hold.
func That(claim string, holds bool) {
	if !holds {
		panic(claim)
	}
}

// EachOnce asserts that each of these messages was delivered exactly once over all the inboxes.
func EachOnce(bodies []string, inboxes ...*Inbox) {
	for _, body := range bodies {
		deliveries := 0
		for _, inbox := range inboxes {
			deliveries += inbox.deliveriesOf(body)
		}
		Equal("deliveries of "+body, 1, deliveries)
	}
}

// Bodies gives word-0 to word-(count-1).
func Bodies(word string, count int) []string {
	bodies := make([]string, count)
	for number := range bodies {
		bodies[number] = fmt.Sprintf("%s-%d", word, number)
	}
	return bodies
}

// IsEven tells whether the number behind the last dash of a body is even.
func IsEven(body string) bool {
	number, err := strconv.Atoi(body[strings.LastIndex(body, "-")+1:])
	Must(err)
	return number%2 == 0
}
