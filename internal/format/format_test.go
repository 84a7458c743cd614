package format_test

import (
	"math"
	"testing"
	"time"

	"apmapp/internal/format"
)

func TestDuration(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for _, c := range []struct {
		in   time.Duration
		want string
	}{
		{0, "0s"},
		{1, "1ns"},
		{-1, "-1ns"},
		{999, "999ns"},
		{-999, "-999ns"},
		{us, "1.00µs"},
		{9994, "9.99µs"},
		{9996, "10.0µs"},
		{99_940, "99.9µs"},
		{99_960, "100µs"},
		{999_499, "999µs"},
		{999_500, "1.00ms"}, // not 1000µs
		{1340 * us, "1.34ms"},
		{-1340 * us, "-1.34ms"},
		{12_300 * us, "12.3ms"},
		{123 * ms, "123ms"},
		{999_960 * us, "1.00s"},
		{-999_960 * us, "-1.00s"},
		{1500 * ms, "1.50s"},
		{75 * time.Second, "75.0s"},
		{999 * time.Second, "999s"},
		{999*time.Second + 500*ms, "16m40s"}, // not 1000s
		{time.Hour + 2*time.Minute + 3400*ms, "1h2m3s"},
		{math.MaxInt64, "2562047h47m16s"},
		{math.MinInt64, "-2562047h47m16s"},
	} {
		got := format.Duration(c.in)
		if got != c.want {
			t.Errorf("Duration(%d) = %q, want %q", c.in, got, c.want)
		}
		if _, err := time.ParseDuration(got); err != nil {
			t.Errorf("Duration(%d) cannot be parsed: %v", c.in, err)
		}
	}
}

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		in   int64
		want string
	}{
		{0, "0B"},
		{1, "1B"},
		{-1, "-1B"},
		{999, "999B"},
		{-999, "-999B"},
		{1000, "1.00kB"},
		{-1000, "-1.00kB"},
		{9996, "10.0kB"},
		{999_499, "999kB"},
		{999_500, "1.00MB"}, // not 1000kB
		{12_345_678, "12.3MB"},
		{1_500_000_000, "1.50GB"},
		{2e12, "2.00TB"},
		{3e15, "3.00PB"},
		{math.MaxInt64, "9.22EB"},
		{math.MinInt64, "-9.22EB"},
	} {
		if got := format.Bytes(c.in); got != c.want {
			t.Errorf("Bytes(%d) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		in   float64
		want string
	}{
		{0, "0/s"},
		{math.Copysign(0, -1), "0/s"},
		{0.5, "0.500/s"},
		{0.0123, "0.0123/s"},
		{1e-6, "0.00000100/s"},
		{1e-9, "1.00e-09/s"},
		{9.994, "9.99/s"},
		{9.996, "10.0/s"},
		{99.96, "100/s"},
		{999.6, "1,000/s"},
		{12_345.6, "12,346/s"},
		{123_456_789, "123,456,789/s"},
		{-2.5, "-2.50/s"},
		{1e300, "1.00e+300/s"},
		{math.NaN(), "–"},
		{math.Inf(1), "–"},
		{math.Inf(-1), "–"},
	} {
		if got := format.Rate(c.in); got != c.want {
			t.Errorf("Rate(%g) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		in   float64
		want string
	}{
		{0, "0%"},
		{1e-6, "0.000100%"}, // one in a million
		{0.00999, "0.999%"},
		{0.0123, "1.23%"},
		{0.5, "50.0%"},
		{0.995, "99.5%"}, // was 1e+02 %
		{0.9994, "99.9%"},
		{0.9995, ">99.9%"},
		{0.9996, ">99.9%"},
		{0.9999999, ">99.9%"},
		{1, "100%"},
		{2.5, "250%"},
		{-0.0123, "-1.23%"},
		{math.NaN(), "–"}, // none of none
		{math.Inf(1), "–"},
	} {
		if got := format.Percent(c.in); got != c.want {
			t.Errorf("Percent(%g) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestCount(t *testing.T) {
	for _, c := range []struct {
		in   int64
		want string
	}{
		{0, "0"},
		{7, "7"},
		{-7, "-7"},
		{999, "999"},
		{-999, "-999"},
		{1000, "1,000"},
		{-1000, "-1,000"},
		{123_456, "123,456"},
		{-123_456, "-123,456"},
		{1_234_567, "1,234,567"},
		{math.MaxInt64, "9,223,372,036,854,775,807"},
		{math.MinInt64, "-9,223,372,036,854,775,808"},
	} {
		if got := format.Count(c.in); got != c.want {
			t.Errorf("Count(%d) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestLength(t *testing.T) {
	for _, c := range []struct {
		in   time.Duration
		want string
	}{
		{0, "0s"},
		{45 * time.Second, "45s"},
		{time.Minute, "1m"},
		{305*time.Second + 400*time.Millisecond, "5m5s"},
		{time.Hour, "1h"},
		{90 * time.Minute, "1h30m"},
		{time.Hour + time.Second, "1h0m1s"},
		{24 * time.Hour, "1d"},
		{25 * time.Hour, "25h"},
		{30 * 24 * time.Hour, "30d"},
		{-time.Hour, "-1h"},
	} {
		if got := format.Length(c.in); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		in   float64
		want string
	}{
		{0, "0"},
		{5, "5"},
		{-5, "-5"},
		{123_456_789, "123,456,789"},
		{999_999_999_999_999, "999,999,999,999,999"},
		{1e15, "1.00e+15"},
		{0.25, "0.250"},
		{1234.5678, "1,235"},
		{-0.00012, "-0.000120"},
		{1.5e-7, "1.50e-07"},
		{math.MaxFloat64, "1.80e+308"},
		{math.SmallestNonzeroFloat64, "4.94e-324"},
		{math.NaN(), "–"},
		{math.Inf(-1), "–"},
	} {
		if got := format.Number(c.in); got != c.want {
			t.Errorf("Number(%g) = %q, want %q", c.in, got, c.want)
		}
	}
}
