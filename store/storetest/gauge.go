package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"blockprint"
	"blockprint/store"
)

// gauge: observations are counted once, by node and guess, in windows and by day, and forgetting the single ones
// changes no sum.
func gauge(t *testing.T, s store.Store) {
	ctx := t.Context()
	observe := func(slot blockprint.Slot, node string, label, guess blockprint.Client, model, day string) store.Observation {
		return store.Observation{Slot: slot, Node: node, Label: label, Guess: guess, Model: model, Day: day}
	}
	list := []store.Observation{
		observe(100, "a", blockprint.Teku, blockprint.Teku, "m1", "2026-01-01"),
		observe(100, "b", blockprint.Prysm, blockprint.Teku, "m1", "2026-01-01"),
		observe(600, "a", blockprint.Teku, blockprint.Teku, "m1", "2026-01-02"),
		observe(601, "a", blockprint.Teku, blockprint.Lodestar, "m2", "2026-01-02"),
	}
	for round, want := range []int{4, 0} {
		if n, err := s.Observe(ctx, list); err != nil || n != want {
			t.Fatalf("round %d: %d added, %v", round, n, err)
		}
	}
	// The first observation of a node and slot counts.
	if n, err := s.Observe(ctx, []store.Observation{observe(100, "a", blockprint.Teku, blockprint.Prysm, "m1", "2026-01-01")}); err != nil || n != 0 {
		t.Errorf("a second opinion of the same block was added: %d, %v", n, err)
	}
	want := []store.NodeCount{
		{Node: "b", Label: blockprint.Prysm, Guess: blockprint.Teku, Model: "m1", Blocks: 1, Latest: 100},
		{Node: "a", Label: blockprint.Teku, Guess: blockprint.Teku, Model: "m1", Blocks: 2, Latest: 600},
		{Node: "a", Label: blockprint.Teku, Guess: blockprint.Lodestar, Model: "m2", Blocks: 1, Latest: 601},
	}
	counted := func(since blockprint.Slot, want []store.NodeCount) {
		t.Helper()
		if got, err := s.Observed(ctx, since); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("since slot %d: %+v (%v), want %+v", since, got, err, want)
		}
	}
	counted(0, want)
	if in, err := s.ObservedIn(ctx, blockprint.Interval{Start: 101, End: 600}); err != nil || !reflect.DeepEqual(in, []store.NodeCount{{Node: "a", Label: blockprint.Teku, Guess: blockprint.Teku, Model: "m1", Blocks: 1, Latest: 600}}) {
		t.Errorf("%+v (%v)", in, err)
	}
	check(t, s.ForgetObservations(ctx, 601))
	counted(0, want)
	recent := []store.NodeCount{want[1], want[2]}
	recent[0].Blocks = 1
	counted(2*store.GaugePart, recent)
	days, err := s.ObservedDays(ctx, "2026-01-02", "2026-01-31")
	if err != nil || !reflect.DeepEqual(days, []store.DayCount{
		{Day: "2026-01-02", Node: "a", Label: blockprint.Teku, Guess: blockprint.Teku, Model: "m1", Blocks: 1},
		{Day: "2026-01-02", Node: "a", Label: blockprint.Teku, Guess: blockprint.Lodestar, Model: "m2", Blocks: 1},
	}) {
		t.Errorf("days %+v (%v)", days, err)
	}
}

// opinions: the newest opinion on a block counts, and those that name no client are stored as well.
func opinions(t *testing.T, s store.Store) {
	ctx := t.Context()
	at := func(slot blockprint.Slot) store.BlockID { return store.BlockID{Slot: slot, Root: root(slot, 1)} }
	for _, o := range []store.Opinion{
		{BlockID: at(7), Likely: blockprint.Prysm, Details: []byte(`{"a":1}`)},
		{BlockID: at(5), Details: []byte(`{}`)},
		{BlockID: at(7), Likely: blockprint.Teku, Details: []byte(`{"a":2}`)},
		{BlockID: at(9), Likely: blockprint.Teku, Details: []byte(`{}`)},
	} {
		check(t, s.AddOpinion(ctx, o))
	}
	got := all(t, s.Opinions(ctx, blockprint.Interval{Start: 5, End: 8}))
	want := []store.Opinion{{BlockID: at(5), Details: []byte(`{}`)}, {BlockID: at(7), Likely: blockprint.Teku, Details: []byte(`{"a":2}`)}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// events: a log is cut and appended to as one, and tenants do not see each other's.
func events(t *testing.T, s store.Store) {
	ctx := t.Context()
	read := func(tenant string) (out []string) {
		t.Helper()
		for _, b := range all(t, s.Events(ctx, tenant)) {
			out = append(out, string(b))
		}
		return out
	}
	seen := map[string]int{}
	change := func(tenant string, keep int, list ...string) error {
		var texts [][]byte
		for _, l := range list {
			texts = append(texts, []byte(l))
		}
		err := s.ChangeEvents(ctx, tenant, seen[tenant], keep, texts, [][]byte{[]byte(tenant + strconv.Itoa(keep))})
		if err == nil {
			seen[tenant] = keep + len(list)
		}
		return err
	}
	check(t, errors.Join(change("a", 0, "1", "2", "3"), change("b", 0, "x"), change("a", 2, "4", "5")))
	if got := read("a"); !slices.Equal(got, []string{"1", "2", "4", "5"}) {
		t.Errorf("%q", got)
	}
	for tenant, want := range map[string]string{"a": "4 5", "b": "1 x", "c": "0 "} {
		if n, last, err := s.LastEvent(ctx, tenant); err != nil || fmt.Sprint(n, " ", string(last)) != want {
			t.Errorf("%s: %d %s (%v), want %s", tenant, n, last, err, want)
		}
	}
	if err := change("a", 5, "6"); err == nil {
		t.Error("more was kept than there is")
	}
	seen["a"]-- // somebody else has written since
	if err := change("a", 3, "6"); blockprint.CodeOf(err) != blockprint.Conflict || len(read("a")) != 4 {
		t.Errorf("writing over what was not read: %v, leaves %q", err, read("a"))
	}
	seen["a"]++
	ids, texts, err := s.Notices(ctx, "a", 0, 10, false)
	if err != nil || len(ids) != 2 || string(texts[0]) != "a0" || string(texts[1]) != "a2" { // what failed left none
		t.Fatalf("%v %s (%v)", ids, texts, err)
	}
	if newest, _, err := s.Notices(ctx, "a", 0, 1, true); err != nil || !slices.Equal(newest, ids[1:]) {
		t.Errorf("%v (%v)", newest, err)
	}
	for _, id := range []int64{ids[1], ids[0]} { // it never goes back
		check(t, s.LogDelivery(ctx, "a", "mail", id, 1000+id, ""))
	}
	check(t, s.LogDelivery(ctx, "a", "web", ids[1], 2000, "status 500"))
	tries, err := s.Deliveries(ctx, "a", 2)
	want := []store.Delivery{{Receiver: "web", ID: ids[1], Notice: []byte("a2"), At: 2000, Error: "status 500"}, {Receiver: "mail", ID: ids[0], Notice: []byte("a0"), At: 1000 + ids[0]}}
	if err != nil || !reflect.DeepEqual(tries, want) {
		t.Errorf("%+v (%v), want %+v", tries, err, want)
	}
	if told, err := s.Delivered(ctx, "a", "web"); err != nil || told != 0 {
		t.Errorf("what failed counts as delivered: %d (%v)", told, err)
	}
	if told, err := s.Delivered(ctx, "a", "mail"); err != nil || told != ids[1] {
		t.Errorf("delivered %d (%v)", told, err)
	}
	if told, err := s.Delivered(ctx, "b", "mail"); err != nil || told != 0 {
		t.Errorf("delivered %d (%v)", told, err)
	}
	// A receiver that is down for long neither fills the database nor pushes out another one's deliveries.
	for i := range store.DeliveriesKept + 5 {
		check(t, s.LogDelivery(ctx, "a", "web", ids[1], int64(3000+i), "status 500"))
	}
	if tries, err = s.Deliveries(ctx, "a", 10*store.DeliveriesKept); err != nil || len(tries) != store.DeliveriesKept+2 || tries[store.DeliveriesKept-1].At != 3005 {
		t.Errorf("%d tries are kept (%v)", len(tries), err)
	}
	if err := change("a", 0); err != nil || len(read("a")) != 0 || len(read("b")) != 1 {
		t.Errorf("%q %q (%v)", read("a"), read("b"), err)
	}
}
