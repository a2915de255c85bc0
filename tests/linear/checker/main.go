// SPDX-License-Identifier: MIT

// checker FILE...: is each history linearizable? One JSON object a line: {"client", "call", "return", "commands", "replies"}.
// An operation is a list of commands that took effect as one (MULTI) or a single one. No "return": its process was
// killed meanwhile, so it happened at some time after its call, or never, with whatever replies.
// Prints the name of each history that is not linearizable; exit code 1 if there is one, 2 if one cannot be checked.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

const patience = 2 * time.Minute

type record struct {
	Client   int        `json:"client"`
	Call     int64      `json:"call"`
	Return   *int64     `json:"return"`
	Commands [][]string `json:"commands"`
	Replies  []any      `json:"replies"`
}

// The keyspace of a history. Every value is a string, a list of strings or a map of strings.
type state map[string]any

func (s state) clone() state {
	copied := state{}
	for key, value := range s {
		switch each := value.(type) {
		case []string:
			copied[key] = append([]string(nil), each...)
		case map[string]string:
			fields := map[string]string{}
			for field, text := range each {
				fields[field] = text
			}
			copied[key] = fields
		default:
			copied[key] = value
		}
	}
	return copied
}

func optional(text string, there bool) any {
	if !there {
		return nil
	}
	return text
}

// What a command answers, as JSON would decode it; the state changes.
func (s state) apply(words []string) any {
	key := words[1]
	text, isText := s[key].(string)
	list, _ := s[key].([]string)
	fields, _ := s[key].(map[string]string)
	switch words[0] {
	case "SET":
		s[key] = words[2]
		return true
	case "GET":
		return optional(text, isText)
	case "DEL":
		_, there := s[key]
		delete(s, key)
		if there {
			return 1.0
		}
		return 0.0
	case "INCR":
		number, _ := strconv.Atoi(text)
		s[key] = strconv.Itoa(number + 1)
		return float64(number + 1)
	case "RPUSH":
		s[key] = append(list, words[2])
		return float64(len(list) + 1)
	case "LPOP":
		if len(list) == 0 {
			return nil
		}
		if s[key] = list[1:]; len(list) == 1 {
			delete(s, key)
		}
		return list[0]
	case "LRANGE":
		all := []any{}
		for _, item := range list {
			all = append(all, item)
		}
		return all
	case "HSET":
		if fields == nil {
			fields = map[string]string{}
		}
		_, there := fields[words[2]]
		fields[words[2]] = words[3]
		s[key] = fields
		if there {
			return 0.0
		}
		return 1.0
	case "HGET":
		value, there := fields[words[2]]
		return optional(value, there)
	}
	panic("unknown command " + words[0])
}

func step(before, input, output any) (bool, any) {
	after := before.(state).clone()
	replies, known := output.([]any)
	for i, words := range input.([][]string) {
		reply := after.apply(words)
		if known && !reflect.DeepEqual(reply, replies[i]) {
			return false, before
		}
	}
	return true, after
}

// For maps and lists alike: fmt prints maps in the order of their keys.
func text(s state) string {
	var parts []string
	for key, value := range s {
		parts = append(parts, fmt.Sprintf("%s=%q", key, value))
	}
	sort.Strings(parts)
	return strings.Join(parts, " ")
}

var model = porcupine.Model{
	Init:  func() any { return state{} },
	Step:  step,
	Equal: func(a, b any) bool { return text(a.(state)) == text(b.(state)) },
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
		operation := porcupine.Operation{ClientId: r.Client, Input: r.Commands, Call: r.Call, Return: math.MaxInt64}
		if r.Return != nil {
			operation.Return, operation.Output = *r.Return, r.Replies
		}
		operations = append(operations, operation)
	}
	return operations, lines.Err()
}

func main() {
	code := 0
	for _, path := range os.Args[1:] {
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
			fmt.Fprintln(os.Stderr, "not decided in", patience, path)
			os.Exit(2)
		}
	}
	os.Exit(code)
}
