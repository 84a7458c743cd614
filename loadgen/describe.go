package main

import (
	"flag"
	"net/url"
	"os"
	"strings"

	"apmapp/internal/build"
	"apmapp/internal/command"
	"apmapp/loadgen/openloop"
)

// describe returns what reports name of a run.
func describe(fs *command.Flags, o options) openloop.Run {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return openloop.Run{
		Target:  withoutUser(o.client.Target),
		Method:  o.client.Method,
		Version: build.Version(),
		Host:    host,
		Command: commandLine(fs),
	}
}

func withoutUser(u *url.URL) string {
	public := *u
	public.User = nil
	return public.String()
}

// shown are the flags whose values reports show. Values of all others may be secret, or
// hold parts that are.
var shown = map[string]bool{
	"abort-if": true, "arrivals": true, "cacert": true, "cert": true, "content-type": true, "duration": true, "expect": true, "fail-if": true, "hgrm": true,
	"insecure": true, "json": true, "keepalive": true, "key": true, "max-error-rate": true, "max-in-flight": true, "method": true, "o": true,
	"profile": true, "redirects": true, "resolve": true, "rps": true, "seed": true, "shard": true, "start-at": true, "statsd": true,
	"targets": true, "timeout": true, "trace": true, "unix-socket": true, "warmup": true,
}

// commandLine returns the flags that were given, without secrets.
func commandLine(fs *command.Flags) string {
	words := []string{"loadgen"}
	fs.Visit(func(f *flag.Flag) {
		value := f.Value.String()
		switch {
		case shown[f.Name]:
		case f.Name == "url":
			// It was read before, so it is valid.
			if u, err := url.Parse(value); err == nil {
				value = withoutUser(u)
			}
		case f.Name == "paths":
			value = withoutQueries(value)
		default:
			value = hidden
		}
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() && shown[f.Name] {
			words = append(words, "-"+f.Name+"="+value)
			return
		}
		words = append(words, "-"+f.Name, quoted(value))
	})
	return strings.Join(words, " ")
}

const hidden = "…"

// withoutQueries hides the first query of a list of paths and all that follows: a comma
// may be part of a query.
func withoutQueries(paths string) string {
	before, _, found := strings.Cut(paths, "?")
	if found {
		return before + "?" + hidden
	}
	return paths
}

// quoted returns a word as a shell reads it.
func quoted(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

const plain = hidden + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+.,:/@%"
