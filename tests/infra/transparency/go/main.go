// Logcheck reads our transparency log with other people's code: golang.org/x/mod/sumdb and filippo.io/torchwood.
//
//	logcheck audit URL LOG-VKEY WITNESS-VKEY...    everything under the head: entries, proofs, consistency
//	logcheck proofs LOG-VKEY WITNESS-VKEY...       tlog-proofs from standard input, one JSON object per line
//	logcheck submit URL WITNESS-VKEY SEED SIZE...  as a log, asks our witness for signatures
//	logcheck agent SOCKET SEED                     an ssh-agent with one key, as litewitness wants it
//
// Answers are JSON on standard output; the first thing that does not verify ends the program with 1.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 3 {
		fail("see the first lines of main.go")
	}
	var answer any
	var err error
	switch args := os.Args[2:]; os.Args[1] {
	case "audit":
		answer, err = audit(args[0], args[1], args[2:])
	case "proofs":
		answer, err = proofs(os.Stdin, args[0], args[1:])
	case "submit":
		answer, err = submit(args[0], args[1], args[2], args[3:])
	case "agent":
		err = serveAgent(args[0], args[1])
	default:
		fail("no such command: " + os.Args[1])
	}
	if err != nil {
		fail(err.Error())
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fail(err.Error())
	}
}

func fail(reason string) {
	fmt.Fprintln(os.Stderr, "logcheck:", reason)
	os.Exit(1)
}
