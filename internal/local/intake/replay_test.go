package intake

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"apmapp/internal/local/received"
	"apmapp/internal/local/store"
)

// FuzzReplay checks that Replay does not panic, and that an error names the line that
// is wrong. A handler without a network stands in for the Agent's own code: with that,
// the fuzzer follows the coverage of its background work.
func FuzzReplay(f *testing.F) {
	a := &Agent{cfg: Config{Store: store.New(0), Received: received.New()}, flush: func() {}}
	mux := http.NewServeMux()
	mux.HandleFunc("/profiling/v1/input", a.takeProfiles)
	mux.HandleFunc("/v0.4/traces", func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(new([]any)); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	a.inner = mux
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
		_, err := a.Replay(bytes.NewReader(tape))
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
		if _, err := a.Replay(bytes.NewReader(bytes.Join(lines[:n-1], []byte("\n")))); err != nil {
			t.Errorf("the lines before line %d: %v", n, err)
		}
		if _, err := a.Replay(bytes.NewReader(lines[n-1])); err == nil {
			t.Errorf("line %d alone is valid: %q", n, lines[n-1])
		}
	})
}
