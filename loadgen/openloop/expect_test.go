package openloop

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

func TestExpect(t *testing.T) {
	for _, test := range []struct {
		in, text string
		has, not []int
	}{
		{"2xx,3xx", "2xx,3xx", []int{200, 299, 300, 399}, []int{0, 199, 400, 500}},
		{"204", "204", []int{204}, []int{203, 205}},
		{" 200-299 , 404,5XX ", "2xx,404,5xx", []int{200, 404, 500, 599}, []int{300, 403, 405, 600}},
		{"200-204", "200-204", []int{200, 204}, []int{199, 205}},
		{"1xx", "1xx", []int{101}, []int{200}},
	} {
		e, err := ParseExpect(test.in)
		if err != nil || e.String() != test.text {
			t.Errorf("%s: %s, %v, want %s", test.in, e, err, test.text)
		}
		for _, status := range test.has {
			if !e.Has(status) {
				t.Errorf("%s does not have %d", test.in, status)
			}
		}
		for _, status := range test.not {
			if e.Has(status) {
				t.Errorf("%s has %d", test.in, status)
			}
		}
	}
	var none Expect
	if !none.Has(499) || none.Has(500) || none.String() != "" {
		t.Errorf("by default, 499 is served and 500 is not: %t, %t", none.Has(499), none.Has(500))
	}
	for _, in := range []string{"", "2xx,", "2x", "xx", "99", "600", "6xx", "0xx", "2000", "20O", "404-400", "200-", "-200", "200-2xx", "1e2", "+20"} {
		if e, err := ParseExpect(in); err == nil {
			t.Errorf("%q: %v, want an error", in, e)
		}
	}
	if _, err := ParseExpect("200,2x"); err == nil || err.Error() != `"2x" is not a status: use 200, 2xx or 200-299` {
		t.Error(err)
	}
}

// The statuses of every second request are not expected: they count as failed
// everywhere. The result keeps that without the expectation.
func TestUnexpectedStatusesAreFailures(t *testing.T) {
	for expect, failed := range map[string]int64{"": 0, "2xx": 5, "404": 5, "4xx,200": 0, "500": 10} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			s := &server{answer: func(time.Time) Exchange {
				time.Sleep(time.Millisecond)
				if n++; n%2 == 0 {
					return Exchange{Status: 404}
				}
				return Exchange{Status: 200}
			}}
			cfg := config(t, s, 1, 10*time.Second)
			if expect != "" {
				var err error
				if cfg.Expect, err = ParseExpect(expect); err != nil {
					t.Fatal(err)
				}
			}
			r := read(t, run(t, t.Context(), cfg))
			got := []int64{r.Total.Failed(), r.Paths[0].Failed(), int64(len(r.Failed)), sum(t, r.Series).failed, 10 - r.Achieved, 10 - sum(t, r.Series).served}
			if want := []int64{failed, failed, failed, failed, failed, failed}; !reflect.DeepEqual(got, want) {
				t.Errorf("%q: failed in total, of the path, in the list, in the series; not achieved, not served: %v, want %d", expect, got, failed)
			}
			again := *r
			again.Runs = nil
			m, err := Merge(r, &again)
			if err != nil || m.Total.Failed() != 2*failed || m.ErrorRate() != float64(failed)/10 {
				t.Errorf("%q: merged %d, %v, want %d", expect, m.Total.Failed(), err, 2*failed)
			}
		})
	}
}
