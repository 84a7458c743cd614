// Package e2e has the tests that need a browser. It is a module of its own to keep
// the browser's protocol out of the product's dependencies.
package e2e

import (
	"bytes"
	"context"
	"flag"
	"image"
	_ "image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/chromedp"

	"apmapp/e2e/browser"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

var picture = flag.String("picture", "", "write a picture of the report to a `file`")

// stalling answers in 4 to 8 ms, except for a stall from 6 s to 7 s. From 12 s on, some
// requests fail.
type stalling struct{ start time.Time }

func (s stalling) Do(context.Context, string) openloop.Exchange {
	since := time.Since(s.start)
	if since > 6*time.Second && since < 7*time.Second {
		time.Sleep(7*time.Second - since)
	}
	time.Sleep(4*time.Millisecond + time.Duration(since.Nanoseconds()%1009)*4*time.Microsecond)
	switch {
	case since > 12*time.Second && since.Milliseconds()%7 == 0:
		return openloop.Exchange{Status: 503, TraceID: "<script>alert(1)</script>"}
	case since > 12*time.Second && since.Milliseconds()%11 == 0:
		return openloop.Exchange{Failure: "reset", Detail: "connection reset by <peer>"}
	}
	return openloop.Exchange{Status: 200, Bytes: 20, TraceID: strings.Repeat("5", 32)}
}

// longPath is wider than any window.
var longPath = "/" + strings.Repeat("a-long-name/", 40)

// result returns the result of a run with a stall, failures and drops.
func result(t *testing.T) (r *openloop.Result) {
	synctest.Test(t, func(t *testing.T) {
		e, err := openloop.New(openloop.Config{
			Schedule: openloop.Schedule{
				Profile: openloop.Pieces{{From: 20, To: 200, Length: 10 * time.Second}, {From: 200, To: 200, Length: 5 * time.Second}}, Arrivals: openloop.Poisson},
			Paths:       []openloop.Path{{Path: "/", Weight: 1}, {Path: "/api/trace?a=<b>", Weight: 2}, {Path: longPath, Weight: 1}},
			Run:         openloop.Run{Target: "http://shop.example", Method: "GET", Version: "dev", Host: "generator", Command: "loadgen -paths " + longPath},
			Sender:      openloop.Workers(stalling{time.Now()}, 100, openloop.TimerClock{}),
			MaxInFlight: 100,
		})
		if err != nil {
			t.Fatal(err)
		}
		if r, err = e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

func TestLoadgenReport(t *testing.T) {
	r := result(t)
	name := filepath.Join(t.TempDir(), "run.html")
	var html bytes.Buffer
	if err := report.HTML(&html, r); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, html.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	page := browser.Start(t)
	type seen struct {
		Text, Legends, Background, Drawn string
		Charts, Seconds, Loaded          int
		Scroll                           bool
		// Cut counts entries of legends, figures and rows of the run that do not fit
		// their place. Path is the width of the widest path, as a share of the window.
		Cut  int
		Path float64
		// Coinciding has the pixels of each line of the percentiles, whose values are
		// equal: fake time makes no request late. End is where they end, as a share of
		// the width.
		Coinciding []int
		End        float64
	}
	look := func(t *testing.T, width int64, dark bool) (s seen, picture []byte) {
		page.Do(t,
			chromedp.EmulateViewport(width, 900),
			browser.Dark(dark),
			chromedp.Navigate("file://"+name),
		)
		browser.Get(t, page, chromedp.Poll[bool](`document.documentElement.dataset.drawn > 0`))
		s = browser.Get(t, page, chromedp.Evaluate[seen](`(() => {
			// The percentiles' lines by color: their pixels, and where they end.
			const canvas = document.querySelector("#percentiles canvas"), {width, height} = canvas;
			const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
			const pixels = [0, 0];
			let end = 0;
			["p99", "p50"].forEach((name, line) => {
				const hex = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
				const color = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
				for (let i = 0; i < data.length; i += 4) {
					if (data[i + 3] > 200 && color.every((c, k) => Math.abs(c - data[i + k]) < 12)) {
						pixels[line]++;
						end = Math.max(end, i / 4 % width / width);
					}
				}
			});
			return {
			Text: document.body.innerText,
			Legends: [...document.querySelectorAll(".u-legend")].map(l => l.innerText.replace(/\s+/g, " ")).join("|"),
			Charts: document.querySelectorAll(".chart canvas").length,
			Scroll: document.documentElement.scrollWidth > innerWidth,
			Background: getComputedStyle(document.body).backgroundColor,
			Loaded: performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:")).length,
			Drawn: document.documentElement.dataset.drawn,
			Seconds: JSON.parse(document.getElementById("run").textContent).seconds.length,
			Cut: [...document.querySelectorAll(".u-legend tr, dl div, .about tr")].filter(e => {
				const box = e.getBoundingClientRect(), around = e.parentElement.closest("div, table, dl, body").getBoundingClientRect();
				return box.left < around.left - 1 || box.right > around.right + 1 || box.right > innerWidth || e.scrollWidth > e.clientWidth + 1;
			}).length,
			Path: Math.max(...[...document.querySelectorAll("td code")].filter(e => e.innerText.startsWith("/")).map(e => e.getBoundingClientRect().width)) / innerWidth,
			Coinciding: pixels,
			End: end,
			};
		})()`))
		return s, browser.Get(t, page, chromedp.FullScreenshot(100))
	}
	for _, test := range []struct {
		name       string
		width      int64
		dark       bool
		background string
	}{
		{"light", 1280, false, "rgb(255, 255, 255)"},
		{"dark", 1280, true, "rgb(15, 19, 24)"},
		{"narrow", 400, false, "rgb(255, 255, 255)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, shot := look(t, test.width, test.dark)
			if s.Charts != 4 || s.Drawn != "4" || s.Seconds != 15 || s.Background != test.background {
				t.Errorf("%+v", s)
			}
			if s.Loaded != 0 {
				t.Errorf("the page loads %d other files, want none", s.Loaded)
			}
			if s.Scroll {
				t.Error("the page is wider than its window")
			}
			if s.Cut != 0 {
				t.Errorf("%d entries of legends, figures or the run do not fit", s.Cut)
			}
			if s.Path > 0.5 {
				t.Errorf("a path takes %.2f of the width, want at most half", s.Path)
			}
			if s.Coinciding[0] < 100 || s.Coinciding[1] < 100 {
				t.Errorf("pixels of two equal lines: %d, want at least 100 of each", s.Coinciding)
			}
			if s.End < 0.9 {
				t.Errorf("the curve of the percentiles ends at %.2f of the chart's width: its axis is longer", s.End)
			}
			for _, want := range []string{"Load run of 2000-01-01 00:00:00 UTC", " reset", "p99.99", "/api/trace?a=<b>", "<script>alert(1)</script>", "Slowest requests", "Failed requests",
				longPath, "connection reset by <peer>", "GET http://shop.example", "loadgen dev on generator"} {
				if !strings.Contains(s.Text, want) {
					t.Errorf("no %q in\n%s", want, s.Text)
				}
			}
			for _, want := range []string{"p50", "p99", "max", "asked /s", "achieved /s", "failed /s", "dropped /s", "response time", "service time"} {
				if !strings.Contains(s.Legends, want) {
					t.Errorf("no %q in the legends %s", want, s.Legends)
				}
			}
			for _, e := range page.Errors() {
				t.Errorf("error on the page: %s", e)
			}
			checkLines(t, shot, test.dark)
			if *picture != "" && test.name == "light" {
				if err := os.WriteFile(*picture, shot, 0o666); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// checkLines looks for the colors of the lines: a canvas may exist and be empty.
func checkLines(t *testing.T, shot []byte, dark bool) {
	t.Helper()
	img, _, err := image.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	colors := map[string][3]uint32{"p50": {0x1f, 0x6f, 0xeb}, "p99": {0xb3, 0x59, 0x00}, "max": {0x82, 0x50, 0xdf}, "bad": {0xc6, 0x28, 0x39}}
	if dark {
		colors = map[string][3]uint32{"p50": {0x6c, 0xb0, 0xff}, "p99": {0xf0, 0xa0, 0x4b}, "max": {0xc2, 0x9b, 0xff}, "bad": {0xff, 0x7b, 0x81}}
	}
	found := map[string]int{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			for name, c := range colors {
				if near(r>>8, c[0]) && near(g>>8, c[1]) && near(b>>8, c[2]) {
					found[name]++
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(colors)) {
		if found[name] < 100 {
			t.Errorf("%d pixels in the color of %s, want at least 100: its line is missing", found[name], name)
		}
	}
}

func near(a, b uint32) bool { return max(a, b)-min(a, b) < 12 }
