// SPDX-License-Identifier: MIT

package main

import (
	"reflect"
	"sort"
	"strconv"

	"github.com/anishathalye/porcupine"
)

// After so many started deliveries without an orderly end a task is a dead letter: kDefaultMaxDeliveries.
const deliveriesMax = 3

type task struct {
	value      string
	priority   int
	number     int // its place among those of its priority, given by the push and kept for life
	deliveries int // started, and not brought to an orderly end
	again      bool

	// Of a lease; an answer that names an older one finds nothing.
	lease    string
	taker    int // who took it, nobody once that process is gone
	helper   int // who started it beside the taker, or instead of one who is gone
	started  bool
	finished string // the outcome that was told while the taker had not answered yet
}

const nobody = -1

// What is promised of one queue. A step copies what it changes.
type queue struct {
	ready  []task // by priority and number
	leased []task // by lease
	dead   []string
	gone   []int // processes whose end was noticed: nothing that they had begun can happen any more
	pushed int
}

func same[T comparable](a, b []T) bool {
	for i := range a {
		if len(a) != len(b) || a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

func (q queue) is(other queue) bool {
	return q.pushed == other.pushed && same(q.ready, other.ready) && same(q.leased, other.leased) &&
		same(q.dead, other.dead) && same(q.gone, other.gone)
}

func (q *queue) isGone(client int) bool {
	for _, each := range q.gone {
		if each == client {
			return true
		}
	}
	return false
}

func (q *queue) makeReady(t task) {
	at := sort.Search(len(q.ready), func(i int) bool {
		other := q.ready[i]
		return other.priority > t.priority || other.priority == t.priority && other.number > t.number
	})
	ready := append([]task(nil), q.ready[:at]...)
	q.ready = append(append(ready, t), q.ready[at:]...)
}

func (q *queue) findLease(lease string) (int, bool) {
	at := sort.Search(len(q.leased), func(i int) bool { return q.leased[i].lease >= lease })
	return at, at < len(q.leased) && q.leased[at].lease == lease
}

// Puts a lease, which is new or replaces what it was.
func (q *queue) hold(t task) {
	at, there := q.findLease(t.lease)
	leased := append(append([]task(nil), q.leased[:at]...), t)
	if there {
		at++
	}
	q.leased = append(leased, q.leased[at:]...)
}

func (q *queue) end(t task, outcome string, orderly bool) {
	at, _ := q.findLease(t.lease)
	q.leased = append(append([]task(nil), q.leased[:at]...), q.leased[at+1:]...)
	if outcome != "requeue" {
		return
	}
	if orderly && t.started {
		t.deliveries--
	}
	if !orderly && t.deliveries >= deliveriesMax {
		q.dead = append(append([]string(nil), q.dead...), t.value)
		sort.Strings(q.dead) // those that one death buries have no order
		return
	}
	t.lease, t.taker, t.helper, t.started, t.finished = "", nobody, nobody, false, ""
	q.makeReady(t)
}

// The taker closed its handle, which is orderly, or died.
func (q *queue) takerLeft(client int, orderly bool) {
	for _, t := range q.leased {
		switch {
		case t.taker != client:
		case t.finished != "":
			q.end(t, t.finished, true)
		case t.helper != nobody:
			t.taker = nobody
			q.hold(t)
		default:
			q.end(t, "requeue", orderly || !t.started)
		}
	}
}

func (q *queue) helperDied(client int) {
	for _, t := range q.leased {
		switch {
		case t.helper != client:
		case t.taker == nobody:
			q.end(t, "requeue", !t.started)
		default:
			t.helper = nobody
			q.hold(t)
		}
	}
}

func (q *queue) answer(t task, outcome string) {
	orderly := !t.started || t.finished != ""
	if outcome == "requeue" && t.finished != "" {
		outcome = t.finished // who ran it knows better
	}
	q.end(t, outcome, orderly)
}

func (q *queue) finish(client int, t task, outcome string) bool {
	if t.taker != nobody {
		t.finished, t.helper = outcome, nobody
		q.hold(t)
		return true
	}
	if t.helper == client {
		q.end(t, outcome, true)
	}
	return t.helper == client
}

func (q *queue) take(client int, lease string) any {
	if len(q.ready) == 0 {
		return nil
	}
	t := q.ready[0]
	q.ready = q.ready[1:]
	reply := []any{t.value, t.again}
	t.lease, t.taker, t.again = lease, client, true
	q.hold(t)
	return reply
}

func (q *queue) start(client int, t task) bool {
	if t.taker == nobody {
		return false
	}
	if !t.started {
		t.started = true
		t.deliveries++
	}
	if t.taker != client {
		t.helper = client
	}
	q.hold(t)
	return true
}

// What a call answers, as JSON would decode it; the queue changes. words: the name, the queue, and what it is about.
func (q *queue) apply(client int, words []string) any {
	switch words[0] {
	case "PUSH":
		priority, _ := strconv.Atoi(words[3])
		q.pushed++
		q.makeReady(task{value: words[2], priority: priority, number: q.pushed, taker: nobody, helper: nobody})
		return true
	case "TAKE":
		return q.take(client, words[2])
	case "STATS":
		return []any{float64(len(q.ready)), float64(len(q.leased)), float64(len(q.dead))}
	case "LETTERS":
		all := []any{}
		for _, value := range q.dead {
			all = append(all, value)
		}
		return all
	case "CLOSE":
		q.takerLeft(client, true)
		return nil
	case "DIE": // as a taker and as a helper, each at some time after the kill
		if !q.isGone(client) {
			q.gone = append(append([]int(nil), q.gone...), client)
			sort.Ints(q.gone)
		}
		if words[2] == "taker" {
			q.takerLeft(client, false)
		} else {
			q.helperDied(client)
		}
		return nil
	}
	at, there := q.findLease(words[2])
	if !there {
		return false
	}
	t := q.leased[at]
	switch words[0] {
	case "START":
		return q.start(client, t)
	case "FINISH":
		return q.finish(client, t, words[3])
	case "ANSWER":
		if t.taker == client {
			q.answer(t, words[3])
		}
		return t.taker == client
	}
	panic("unknown call " + words[0])
}

func leaseStep(before, input, output any) (bool, any) {
	after, r := before.(queue), input.(record)
	replies, known := output.([]any)
	if !known && after.isGone(r.Client) {
		return true, before // it had not happened when its process was killed, and never will
	}
	reply := after.apply(r.Client, r.Commands[0])
	if known && !reflect.DeepEqual(reply, replies[0]) {
		return false, before
	}
	return true, after
}

// Queues know nothing of each other.
func byQueue(history []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, operation := range history {
		name := operation.Input.(record).Commands[0][1]
		parts[name] = append(parts[name], operation)
	}
	var all [][]porcupine.Operation
	for _, part := range parts {
		all = append(all, part)
	}
	return all
}

var leases = porcupine.Model{
	Partition: byQueue,
	Init:      func() any { return queue{} },
	Step:      leaseStep,
	Equal:     func(a, b any) bool { return a.(queue).is(b.(queue)) },
}
