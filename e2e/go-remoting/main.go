// The 4.x remoting client for Go.
package main

import (
	"os"

	"apogee/e2e/kit"
)

func main() {
	// The client prints much; only what matters goes into the log.
	kit.Must(os.Setenv("ROCKETMQ_GO_LOG_LEVEL", "warn"))
	cases := kit.Scenarios(driver{})
	cases = append(cases,
		kit.Case{Name: "send-oneway", Play: sendOneway},
		kit.Case{Name: "send-batch", Play: sendBatch},
		kit.Case{Name: "tx-commit-rollback", Play: commitAndRollback},
		kit.Case{Name: "tx-check", Play: checkOpen},
	)
	if !kit.Asked() {
		// The pull consumer does not sign its requests for routes.
		cases = append(cases, kit.Case{Name: "pull", Play: pull})
	}
	kit.Run(append(cases, kit.Restarts(driver{})...))
}
