package viewer

import (
	"cmp"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/local/wire"
)

// pattern is the log lines of one shape.
type pattern struct {
	ID      string    `json:"id"`
	Level   string    `json:"level"`
	Service string    `json:"service"`
	Text    string    `json:"text"`
	Lines   int       `json:"lines"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Example wire.Log  `json:"example"` // the latest line
}

// shape is what lines have in common: it has no numbers, IDs and quoted texts.
type shape struct{ level, service, message, facts string }

func (s shape) text() string { return strings.TrimSpace(s.message + " " + s.facts) }

// id identifies a shape in URLs.
func (s shape) id() string {
	h := fnv.New64a()
	for _, part := range []string{s.level, s.service, s.message, s.facts} {
		_, _ = h.Write([]byte(part + "\x00"))
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// shapes remembers masked texts: most lines of a program repeat some messages.
type shapes struct{ masked map[string]string }

func newShapes() *shapes { return &shapes{map[string]string{}} }

func (s *shapes) mask(text string) string {
	m, is := s.masked[text]
	if !is {
		m = mask(text)
		s.masked[text] = m
	}
	return m
}

// of returns the shape of a line: the method and the status stay as they are, the duration
// is left out.
func (s *shapes) of(l *wire.Log) shape {
	f := factsOf(*l)
	facts := []string{f.Method, s.mask(f.Path), f.Status, s.mask(f.Error)}
	facts = slices.DeleteFunc(facts, func(fact string) bool { return fact == "" })
	return shape{l.Level, l.Service, s.mask(l.Message), strings.Join(facts, " ")}
}

var (
	// A quoted text begins after a space or a bracket, unlike an apostrophe.
	quotedText = regexp.MustCompile("(^|[\\s(\\[{=:,])(?:\"(?:[^\"\\\\]|\\\\.)*\"|'[^']*'|`[^`]*`)")
	// A word of at least eight hex digits, such as an ID, or with a digit and at least 20
	// letters, such as a token.
	longWord = regexp.MustCompile(`[0-9A-Za-z_\-]{8,}`)
	hexWord  = regexp.MustCompile(`^(0x)?[0-9a-fA-F\-]+$`)
	// A word that begins with a digit, with what is within times, addresses and sizes.
	number = regexp.MustCompile(`[0-9][0-9A-Za-zµ]*(?:[.,:/+\-]+[0-9][0-9A-Za-zµ]*)*%?`)
)

// mask replaces what differs between lines of one shape: numbers and IDs by #, quoted texts
// by "…".
func mask(text string) string {
	text = quotedText.ReplaceAllString(text, `$1"…"`)
	text = longWord.ReplaceAllStringFunc(text, func(word string) string {
		if digits := strings.ContainsAny(word, "0123456789"); digits && (hexWord.MatchString(word) || len(word) >= 20) {
			return "#"
		}
		return word
	})
	return number.ReplaceAllString(text, "#")
}

// patternsOf groups lines, the latest first, by their shape: the most lines first.
func patternsOf(lines []wire.Log) []pattern {
	shapes, of := newShapes(), map[shape]*pattern{}
	for i := range lines {
		l := &lines[i]
		s := shapes.of(l)
		p := of[s]
		if p == nil {
			p = &pattern{ID: s.id(), Level: l.Level, Service: l.Service, Text: s.text(), First: l.Time, Last: l.Time, Example: *l}
			of[s] = p
		}
		p.Lines++
		if l.Time.Before(p.First) {
			p.First = l.Time
		}
		if l.Time.After(p.Last) {
			p.Last = l.Time
		}
	}
	all := []pattern{}
	for _, p := range of {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b pattern) int {
		return cmp.Or(cmp.Compare(b.Lines, a.Lines), b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID))
	})
	return all
}
