package handlers_test

import (
	"fmt"
	"testing"
	"time"
)

func TestEachRequestIsOneLogLine(t *testing.T) {
	h, logs := surface(t, &visits{})
	r := get("/api/apm?secret=" + secret)
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("User-Agent", "curl/8")
	w := do(h, r)
	all := logs()
	if len(all) != 1 {
		t.Fatalf("%d lines, want 1: %v", len(all), all)
	}
	got := all[0]
	for key, want := range map[string]any{
		"level": "INFO", "msg": "request",
		"dd.service": "apmapp", "dd.env": "", "dd.version": "test",
		"http.method": "GET", "http.url_details.path": "/api/apm", "http.route": "/api/apm",
		"http.status_code": 200.0, "http.useragent": "curl/8",
		"network.client.ip": "192.0.2.7", "network.bytes_written": float64(w.Body.Len()),
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
		delete(got, key)
	}
	if d, ok := got["duration"].(float64); !ok || d <= 0 || d > float64(time.Minute) {
		t.Errorf("duration %v is not in nanoseconds", got["duration"])
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["timestamp"])); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"duration", "timestamp", "dd.trace_id", "dd.span_id"} {
		if _, ok := got[key]; !ok {
			t.Errorf("%s is missing", key)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("not in the contract: %v", got)
	}
}

func TestLogOfUnusualRequests(t *testing.T) {
	h, logs := surface(t, &visits{})
	head := get("/")
	head.Method = "HEAD"
	do(h, head)
	if l := logs()[0]; l["http.method"] != "HEAD" || l["network.bytes_written"] != 0.0 {
		t.Errorf("HEAD: logged %v, want 0 bytes written", l)
	}
	socket := get("/")
	socket.RemoteAddr = "@" // net/http's address of a client on a UNIX socket
	do(h, socket)
	if l := logs()[0]; l["network.client.ip"] != "@" {
		t.Errorf("client on a UNIX socket: logged %v", l["network.client.ip"])
	}
}
