package openloop

import (
	"math"
	"testing"
	"testing/quick"
	"time"
)

func TestConstantDoesNotDrift(t *testing.T) {
	check := func(n uint32, milliRPS uint16) bool {
		if milliRPS == 0 {
			return true
		}
		got := Constant(float64(milliRPS) / 1000).Instant(float64(n))
		want := float64(n) * 1e12 / float64(milliRPS)
		if want > math.MaxInt64 {
			return got == never
		}
		return math.Abs(float64(got)-want) <= 1+want*1e-15
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 10000}); err != nil {
		t.Error(err)
	}
	if got, want := Constant(333.3).Instant(1e9), time.Duration(3_000_300_030_003_000); got != want {
		t.Errorf("the 1e9th arrival at %d, want %d", got, want)
	}
}

func TestConstant(t *testing.T) {
	if c := Constant(20); c.Rate(time.Hour) != 20 || c.Length() != 0 {
		t.Errorf("%v/s for %s", c.Rate(time.Hour), c.Length())
	}
	// The largest Duration is 9,223,372,036.85 s.
	if got := Constant(1).Instant(9_223_372_036); got != 9_223_372_036*time.Second {
		t.Errorf("the last second of a Duration: %s", got)
	}
	if got := Constant(1).Instant(9_223_372_037); got != never {
		t.Errorf("after the largest Duration: %s", got)
	}
}

func TestProfiles(t *testing.T) {
	for _, test := range []struct {
		text     string
		length   time.Duration
		arrivals []int // by second
	}{
		{"steps:20,100,0,500@2s", 8 * time.Second, []int{20, 20, 100, 100, 0, 0, 500, 500}},
		{"ramp:0..400@4s", 4 * time.Second, []int{50, 150, 250, 350}},
		{"ramp:100..0@2s", 2 * time.Second, []int{75, 25}},
		{"spike:20..500@1s", 3 * time.Second, []int{20, 500, 20}},
		{"20@2s, 100..300@1s,0@1s,0.5..0.5@4s", 8 * time.Second, []int{20, 20, 200, 0, 1, 0, 1, 0}},
		{"ramp:0.5..0.5@4s", 4 * time.Second, []int{1, 0, 1, 0}},
	} {
		p, err := ParseProfile(test.text)
		if err != nil {
			t.Fatal(err)
		}
		s := Schedule{Profile: p, Arrivals: Regular}
		if s.Length() != test.length {
			t.Errorf("%s: %s long, want %s", test.text, s.Length(), test.length)
		}
		got := make([]int, len(test.arrivals))
		last := time.Duration(-1)
		for _, at := range s.All() {
			got[at/time.Second]++
			if at <= last {
				t.Errorf("%s: arrival at %s after one at %s", test.text, at, last)
			}
			last = at
		}
		for second, want := range test.arrivals {
			// An arrival on the boundary may round to either side.
			if math.Abs(float64(got[second]-want)) > 1 || want == 0 && got[second] > 0 {
				t.Errorf("%s: %d arrivals in second %d, want %d", test.text, got[second], second, want)
			}
		}
	}
}

func TestProfileRate(t *testing.T) {
	p := Pieces{{10, 20, 2 * time.Second}, {50, 50, time.Second}}
	for at, want := range map[time.Duration]float64{0: 10, 500 * time.Millisecond: 12.5, 2 * time.Second: 50, time.Hour: 50} {
		if got := p.Rate(at); got != want {
			t.Errorf("at %s: %v/s, want %v/s", at, got, want)
		}
	}
}

// TestProfileInstantInvertsRate compares Instant with the numeric integral of
// Rate.
func TestProfileInstantInvertsRate(t *testing.T) {
	p := Pieces{{0, 300, 3 * time.Second}, {300, 300, time.Second}, {0, 0, time.Second}, {50, 10, 4 * time.Second}}
	const step = 100 * time.Microsecond
	asked, n := 0.0, 0
	for at := time.Duration(0); at < p.Length(); at += step {
		asked += p.Rate(at+step/2) * step.Seconds()
		for ; float64(n) < asked; n++ {
			if got := p.Instant(float64(n)); got < at-step || got > at+2*step {
				t.Fatalf("the %dth arrival at %s, want about %s", n, got, at)
			}
		}
	}
	if n != 870 {
		t.Errorf("%d arrivals, want 870", n)
	}
	// After its end it continues at the last rate.
	if got, want := p.Instant(870+10), p.Length()+time.Second; got.Round(time.Microsecond) != want {
		t.Errorf("10 more at %s, want %s", got, want)
	}
	if got := (Pieces{{10, 0, time.Second}}).Instant(6); got != never {
		t.Errorf("an arrival after the last one at %s", got)
	}
	// After an hour at 1/s, the largest Duration is left with 3,600 s less.
	hour := Pieces{{1, 1, time.Hour}}
	if got := hour.Instant(9_223_372_037); got != never {
		t.Errorf("after the largest Duration: %s", got)
	}
	if got := hour.Instant(9_223_372_036); got != 9_223_372_036*time.Second {
		t.Errorf("before the largest Duration: %s", got)
	}
}

func TestInvalidProfiles(t *testing.T) {
	const forms = "use stages such as 20@1m,100..500@5m, or steps:20,100@30s, ramp:0..500@2m or spike:20..500@10s"
	for _, test := range []struct{ in, want string }{
		{"", `stage "" has no length: ` + forms},
		{"100", `stage "100" has no length: ` + forms},
		{"20@1m,500", `stage "500" has no length: ` + forms},
		{"20@1m,", `stage "" has no length: ` + forms},
		{"20@1m,100..@5m", `"" is not a rate in requests per second`},
		{"20@1m,100-500@5m", `"100-500": separate the rates by two dots: 100..500`},
		{"20/s@1m", `"20/s" is not a rate in requests per second`},
		{"20@60", `"60" is not a duration with a unit, such as 30s or 2m`},
		{"0@1m", "profile must have a rate greater than 0"},
		{"1@2000000h,1@2000000h", "profile must last at most 2562047h47m16.854775807s"},
		{"steps:20", "no length: append it, such as steps:20@30s"},
		{"steps:20@", `"" is not a duration with a unit, such as 30s or 2m`},
		{"steps:20@5", `"5" is not a duration with a unit, such as 30s or 2m`},
		{"steps:20@-5s", "length must be greater than 0s, got -5s"},
		{"steps:@5s", `"" is not a rate in requests per second`},
		{"steps:20,x@5s", `"x" is not a rate in requests per second`},
		{"steps:0,0@5s", "profile must have a rate greater than 0"},
		{"steps:-1@5s", "rate must be a finite number of requests per second, at least 0, got -1"},
		{"steps:NaN@5s", "rate must be a finite number of requests per second, at least 0, got NaN"},
		{"ramp:1..2..3@5s", `"2..3" is not a rate in requests per second`},
		{"ramp:5@5s", `"5" is not two rates, such as 20..500`},
		{"spike:1..Inf@5s", "rate must be a finite number of requests per second, at least 0, got +Inf"},
		{"wave:1..2@5s", `unknown kind "wave": use steps, ramp or spike, or stages such as 20@1m,100..500@5m`},
		{"ramp:1..2@0s", "length must be greater than 0s, got 0s"},
		{"ramp:1,2@1s", `"1,2": separate the rates by two dots: 1..2`},
		{"ramp:0-500@2m", `"0-500": separate the rates by two dots: 0..500`},
		{"spike:20->500@2m", `"20->500": separate the rates by two dots: 20..500`},
		{"spike:1.5...500@2m", `"1.5...500": separate the rates by two dots: 1.5..500`},
		{"ramp:0..500@2m@2m", `"2m@2m" is not a duration with a unit, such as 30s or 2m`},
	} {
		want := `"` + test.in + `": ` + test.want
		if p, err := ParseProfile(test.in); err == nil || err.Error() != want {
			t.Errorf("got %v, %v, want %s", p, err, want)
		}
	}
}

func FuzzParseProfile(f *testing.F) {
	for _, seed := range []string{"steps:20,100,500@30s", "ramp:0..500@2m", "spike:20..500@10s", "20@1m, 100..500@5m", "ramp:1e300..0@1ns"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := ParseProfile(in)
		if err != nil {
			return
		}
		last := time.Duration(-1)
		for n := range 100 {
			at := p.Instant(float64(n))
			if at < last {
				t.Fatalf("arrival %d at %d, after one at %d", n, at, last)
			}
			last = at
		}
	})
}
