package localagent

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"testing"
	"time"
)

func FuzzReplay(f *testing.F) {
	a, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Store: NewStore(0), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = a.Close() })
	var tape bytes.Buffer
	r := NewRecorder(&tape)
	for _, e := range []Event{
		{Kind: Packet, Body: []byte("a.b:1|c|#x:y")},
		{Kind: Logs, Body: []byte("a line\n")},
		{Kind: Request, Method: "POST", Path: "/v0.4/traces?x=y", Header: map[string][]string{"Content-Type": {"application/json"}},
			Body: []byte(`[[{"service":"web","name":"a","resource":"b","trace_id":1,"span_id":2,"start":1,"duration":3}]]`)},
		{Kind: Request, Method: "POST", Path: "/profiling/v1/input", Body: []byte("--b")},
	} {
		e.Time = time.Unix(1_700_000_000, 0).UTC()
		r.Hear(e)
	}
	f.Add(tape.Bytes())
	f.Add([]byte("\n\n{}\n"))
	f.Add([]byte(`{"kind":"request","method":"GET","path":"@example.com:1/info","body":"e30="}`))
	f.Add([]byte(`{"kind":"request","method":"CONNECT","path":"//"}` + "\n" + `{"kind":"request","header":{"":null}}`))
	named := regexp.MustCompile(`^line (\d+): `)
	f.Fuzz(func(t *testing.T, tape []byte) {
		err := a.Replay(bytes.NewReader(tape), io.Discard)
		if err == nil {
			return
		}
		m := named.FindStringSubmatch(err.Error())
		if m == nil {
			t.Fatalf("%v: want the line", err)
		}
		n, _ := strconv.Atoi(m[1])
		lines := bytes.Split(tape, []byte("\n"))
		if n < 1 || n > len(lines) {
			t.Fatalf("%v: the recording has %d lines", err, len(lines))
		}
		// The lines before are valid, and the line itself is not.
		if err := a.Replay(bytes.NewReader(bytes.Join(lines[:n-1], []byte("\n"))), io.Discard); err != nil {
			t.Errorf("the lines before line %d: %v", n, err)
		}
		if err := a.Replay(bytes.NewReader(lines[n-1]), io.Discard); err == nil {
			t.Errorf("line %d alone is valid: %v", n, fmt.Sprintf("%q", lines[n-1]))
		}
	})
}
