package kit

import "os"

// Account is whom a client signs as; without a key it signs nothing.
type Account struct {
	Key, Secret string
}

// Own is the account that this program was given. It may send and receive, but where the name begins with closed.
var Own = Account{os.Getenv("ACCESS_KEY"), os.Getenv("SECRET_KEY")}

// Asked tells whether the server asks who calls: only then refusals can be seen.
func Asked() bool {
	return Own.Key != ""
}

// Strangers are to be refused: a wrong secret, nobody's name, a disabled user, one without rights, no signature.
func Strangers() []Account {
	return []Account{
		{Own.Key, "not its secret"},
		{"nobody", "nobody-secret"},
		{"disabled", "disabled-secret"},
		{"guest", "guest-secret"},
		{},
	}
}

// Refusals play a send as each stranger, and as the own account to a topic that is closed to it. The attempt
// returns why it failed, or nil.
func Refusals(attempt func(account Account, topic string) error, isRefusal func(error) bool) []Case {
	if !Asked() {
		return nil
	}
	expect := func(account Account, topic string) {
		err := attempt(account, topic)
		That("refused: "+account.Key, err != nil)
		That("the code of: "+err.Error(), isRefusal(err))
	}
	return []Case{
		{Name: "refused-send", Play: func() {
			topic := Topic(1)
			for _, stranger := range Strangers() {
				expect(stranger, topic)
			}
			Must(attempt(Own, topic))
		}},
		{Name: "refused-topic", Play: func() {
			closed := Unique("closed")
			Operator("topic " + closed + " NORMAL 1")
			expect(Own, closed)
		}},
	}
}
