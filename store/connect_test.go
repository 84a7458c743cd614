package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"apmapp/store"
)

// attempts runs a store in fake time until ctx ends, with dial instead of a
// network. It returns when each attempt to connect began, and the log.
func attempts(t *testing.T, ctx context.Context, params string, dial func(context.Context) (net.Conn, error)) (at []time.Duration, logs []byte) {
	t.Helper()
	start := time.Now()
	cfg, err := store.ParseDSN("app:hunter2@tcp(db)/apmapp" + params)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		at = append(at, time.Since(start))
		return dial(ctx)
	}
	var out bytes.Buffer
	s, err := store.Open(store.Config{MySQL: cfg, PoolSize: 1, Logger: slog.New(slog.NewJSONHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.Run(ctx)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return at, out.Bytes()
}

func refuse(context.Context) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

func TestRunRetriesAtGrowingIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		at, _ := attempts(t, ctx, "", refuse)
		if got := time.Since(start); got != time.Hour {
			t.Errorf("Run returned after %s, want when its context ended", got)
		}
		var gaps []time.Duration
		for i := range at[1:] {
			gaps = append(gaps, at[i+1]-at[i])
		}
		// The first delay is 100 ms ± 50 %.
		if gaps[0] < 50*time.Millisecond || gaps[0] > 150*time.Millisecond {
			t.Errorf("second attempt after %s, want 50 to 150 ms", gaps[0])
		}
		// An hour has hundreds of random delays of 6.67 s ± 50 %.
		if longest := slices.Max(gaps); longest > 10*time.Second || longest < 9*time.Second {
			t.Errorf("longest delay %s, want just below 10 s", longest)
		}
		if shortest := slices.Min(gaps[20:]); shortest < 3*time.Second || shortest > 4*time.Second {
			t.Errorf("shortest of the later delays %s, want 3.3 s", shortest)
		}
	})
}

func TestFailedAttemptIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, logs := attempts(t, ctx, "", refuse)
		var got map[string]any
		if err := json.Unmarshal(logs, &got); err != nil {
			t.Fatalf("%v in %s, want one line", err, logs)
		}
		retry, err := time.ParseDuration(got["retry_in"].(string))
		if err != nil || retry < 50*time.Millisecond || retry > 150*time.Millisecond || retry%time.Millisecond != 0 {
			t.Errorf("retry_in %v, want whole milliseconds from 50 to 150", got["retry_in"])
		}
		for key, want := range map[string]string{
			"level": "WARN", "msg": "waiting for MySQL: nothing listens at its address",
			"mysql.addr": "db:3306", "mysql.db": "apmapp", "mysql.user": "app", "mysql.tls": "DISABLED",
			"error.message": "dial tcp: connect: connection refused",
		} {
			if got[key] != want {
				t.Errorf("%s: got %v, want %s", key, got[key], want)
			}
		}
		if bytes.Contains(logs, []byte("hunter2")) {
			t.Errorf("the log shows the password: %s", logs)
		}
	})
}

// TestAttemptsAreBounded checks how long an attempt waits for a host that does
// not answer (2 s) and for a server that accepts a connection but stays silent
// (15 s, whatever the DSN's readTimeout).
func TestAttemptsAreBounded(t *testing.T) {
	for _, tc := range []struct {
		name, params string
		limit        time.Duration
		dial         func(context.Context) (net.Conn, error)
	}{
		{"no answer", "", 2 * time.Second, func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		{"silent server", "?readTimeout=1h", 15 * time.Second, greet("")},
		{"server that stops in its greeting", "?readTimeout=1h", 15 * time.Second, greet("\x50\x00\x00\x00\x0a")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tc.limit+200*time.Millisecond)
				defer cancel()
				at, logs := attempts(t, ctx, tc.params, tc.dial)
				if len(at) < 2 || at[1] < tc.limit+50*time.Millisecond || at[1] > tc.limit+150*time.Millisecond {
					t.Errorf("attempts at %v, want the second 50 to 150 ms after %s", at, tc.limit)
				}
				if want := []byte(`"msg":"waiting for MySQL: it does not answer in time"`); !bytes.Contains(logs, want) {
					t.Errorf("logged %s, want %s", logs, want)
				}
			})
		})
	}
}

// greet returns a dial function to a server that sends the greeting and no more.
func greet(greeting string) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			_, _ = io.WriteString(server, greeting)
			_, _ = io.Copy(io.Discard, server)
		}()
		return client, nil
	}
}

// TestOtherServers connects to what may listen at a wrong port, and to servers that
// refuse the connection in their first packet.
func TestOtherServers(t *testing.T) {
	const notMySQL = "the server at MySQL's address is not MySQL"
	// packet returns the first packet with its header.
	packet := func(body string) string { return string([]byte{byte(len(body)), 0, 0, 0}) + body }
	refusal := func(number uint16) string {
		return packet("\xff" + string([]byte{byte(number), byte(number >> 8)}) + "hunter2")
	}
	for _, tc := range []struct{ name, greeting, want string }{
		{"SSH", "SSH-2.0-OpenSSH_9.2p1\r\n", notMySQL},
		{"SMTP", "220 mail ESMTP\r\n", notMySQL},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", notMySQL},
		{"TLS alert", "\x15\x03\x01\x00\x02\x02\x46", notMySQL},
		{"MySQL's X protocol", "\x05\x00\x00\x00\x0b\x08\x05\x1a\x00", notMySQL},
		{"empty packet", "\x00\x00\x00\x00", notMySQL},
		{"packet in the middle of a sequence", "\x05\x00\x00\x01\x0a8.0\x00", notMySQL},
		{"version without an end", packet("\x0a8.0.36"), notMySQL},
		{"version without the rest", packet("\x0a8.0.36\x00"), notMySQL},
		{"greeting that is a byte too short", packet("\x0a8.0.36\x00" + strings.Repeat("\x00", 43)), notMySQL},
		{"greeting without capabilities", packet("\x0a8.0.36\x00" + strings.Repeat("\x00", 44)), "MySQL is older than 4.1"},
		{"protocol of the year 2000", packet("\x093.23\x00"), "MySQL cannot be used, the log has the error"},
		{"error with a wrong sequence", "\x07\x00\x00\x01\xff\x10\x04full", "MySQL has too many connections"},
		{"error without a message", packet("\xff\x10\x04"), notMySQL},
		{"error with half a state", packet("\xff\x10\x04#0800"), notMySQL},
		{"error with a state", packet("\xff\x10\x04#08004"), "MySQL has too many connections"},
		{"greeting that is too long", "\x01\x10\x00\x00\x0a", notMySQL},
		{"too many connections", refusal(1040), "MySQL has too many connections"},
		{"blocked host", refusal(1129), "MySQL has blocked this host after many failed connections: run mysqladmin flush-hosts"},
		{"host that may not connect", refusal(1130), "MySQL accepts no connections from this host"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				_, logs := attempts(t, ctx, "", greet(tc.greeting))
				var got struct{ Msg string }
				if err := json.Unmarshal(logs, &got); err != nil || got.Msg != tc.want {
					t.Errorf("logged %s (%v), want one line: %s", logs, err, tc.want)
				}
			})
		})
	}
}

func TestUnavailableUntilConnected(t *testing.T) {
	cfg, err := store.ParseDSN("app@tcp(db)/apmapp")
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{MySQL: cfg, PoolSize: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, call := range []struct {
		name string
		do   func() error
	}{
		{"Ready", func() error { return s.Ready(t.Context()) }},
		{"Latest", func() error { _, _, err := s.Latest(t.Context()); return err }},
		{"Recent", func() error { _, err := s.Recent(t.Context(), 1); return err }},
		{"Record", func() error { _, err := s.Record(t.Context(), store.Visit{}); return err }},
		{"DeleteBefore", func() error { _, err := s.DeleteBefore(t.Context(), time.Now(), 1); return err }},
	} {
		err := call.do()
		if !errors.Is(err, store.ErrUnavailable) || store.Reason(err) != "waiting for MySQL: not connected yet" || err.Error() != "use store: not connected yet" {
			t.Errorf("%s: %v (%s)", call.name, err, store.Reason(err))
		}
	}
}

func TestOpenErrors(t *testing.T) {
	cfg, err := store.ParseDSN("app@tcp(db)/apmapp")
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLSConfig = "nowhere" // ParseDSN refuses it
	_, err = store.Open(store.Config{MySQL: cfg, PoolSize: 1, Logger: slog.New(slog.DiscardHandler)})
	if want := "open store: invalid value / unknown config name: nowhere"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestConnectionLifetime(t *testing.T) {
	for _, tc := range []struct{ waitTimeout, want time.Duration }{
		{8 * time.Hour, 3 * time.Minute}, // MySQL's default
		{6 * time.Minute, 3 * time.Minute},
		{6*time.Minute - time.Second, 3*time.Minute - 500*time.Millisecond},
		{10 * time.Second, 5 * time.Second},
	} {
		if got := store.Lifetime(tc.waitTimeout); got != tc.want {
			t.Errorf("wait_timeout %s: lifetime %s, want %s", tc.waitTimeout, got, tc.want)
		}
	}
}
