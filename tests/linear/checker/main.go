// SPDX-License-Identifier: MIT

// checker MODEL FILE...: is each history linearizable? One JSON object a line: {"client", "call", "return", "commands",
// "replies"}. An operation is a list of commands that took effect as one (MULTI) or a single one. No "replies": its
// process was killed meanwhile, so it happened with whatever replies, or never; before its "return", if there is one.
// The models: keys (strings, counters, lists, hashes), leases (task queues, each checked by itself).
// Prints the name of each history that is not linearizable, and of each that is not decided in time; exit code 1 if there
// is one of them, 2 if one cannot be read. The search is exponential in how much is concurrent: a history in which a call
// was kept from the processor for long, while deaths may be noticed at any time, can take hours.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

const patience = 30 * time.Second

type record struct {
	Client   int        `json:"client"`
	Call     int64      `json:"call"`
	Return   *int64     `json:"return"`
	Commands [][]string `json:"commands"`
	Replies  []any      `json:"replies"`
}

func read(path string) ([]porcupine.Operation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var operations []porcupine.Operation
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		operation := porcupine.Operation{ClientId: r.Client, Input: r, Call: r.Call, Return: math.MaxInt64}
		if r.Return != nil {
			operation.Return = *r.Return
		}
		if r.Replies != nil {
			operation.Output = r.Replies
		}
		operations = append(operations, operation)
	}
	return operations, lines.Err()
}

func main() {
	models := map[string]porcupine.Model{"keys": keys, "leases": leases}
	if len(os.Args) < 2 || models[os.Args[1]].Step == nil {
		fmt.Fprintln(os.Stderr, "checker keys|leases FILE...")
		os.Exit(2)
	}
	model, code := models[os.Args[1]], 0
	for _, path := range os.Args[2:] {
		operations, err := read(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, path, err)
			os.Exit(2)
		}
		switch porcupine.CheckOperationsTimeout(model, operations, patience) {
		case porcupine.Illegal:
			fmt.Println("not linearizable:", path)
			code = 1
		case porcupine.Unknown:
			fmt.Println("not decided:", path)
			code = 1
		}
	}
	os.Exit(code)
}
