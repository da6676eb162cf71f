package habit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"blockprint/sim"
	"blockprint/sim/habit"
)

// TestHabits: each habit does what its comment says, to the paths that it is for and to no others.
func TestHabits(t *testing.T) {
	c := sim.DefaultConfig(3)
	c.Validators, c.Committees, c.SlotsPerEpoch = 256, 2, 8
	c.SkipRate, c.SideChainRate, c.LateRate = 0.3, 0, 0
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	empty := ""
	for range 30 {
		if s := w.Step(); s.Block.IsZero() && s.Slot > 20 {
			empty = fmt.Sprintf("/eth/v1/beacon/headers/%d", s.Slot)
		}
	}
	get := func(path string, h ...habit.Habit) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		habit.Play(w.Handler(), h...).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		return rec
	}
	for _, c := range []struct {
		path   string
		habit  habit.Habit
		status int
		text   string
	}{
		{empty, habit.Missing(500), 500, ""},
		{empty, habit.BlockBefore(), 200, `"slot"`},
		{empty, habit.On(habit.Blocks, habit.Missing(500)), 404, ""},
		{"/eth/v1/beacon/headers/head", habit.SinceSlot(20), 200, `"slot"`},
		{"/eth/v1/beacon/headers/genesis", habit.SinceSlot(20), 404, ""},
		{"/eth/v1/beacon/states/head/randao", habit.On(habit.States, habit.Refuse(503)), 503, "refused"},
		{"/eth/v1/beacon/states/head/randao", habit.On(habit.StateRoots, habit.Refuse(503)), 200, "randao"},
		{"/eth/v1/beacon/genesis", habit.Rewrite(`"genesis_time"`, `"time"`), 200, `"time"`},
	} {
		if got := get(c.path, c.habit); got.Code != c.status || !strings.Contains(got.Body.String(), c.text) {
			t.Errorf("%s: %d %s, want %d and %q", c.path, got.Code, got.Body, c.status, c.text)
		}
	}
}
