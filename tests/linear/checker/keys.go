// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

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
	for i, words := range input.(record).Commands {
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

var keys = porcupine.Model{
	Init:  func() any { return state{} },
	Step:  step,
	Equal: func(a, b any) bool { return text(a.(state)) == text(b.(state)) },
}
