package provision

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"apmapp/internal/site"
)

// APIError is an answer with a status of 300 or more.
type APIError struct {
	Op      string // the request, for people
	Status  int
	Message string // from the API, in one line, shortened
	Advice  string // what to do about it; may be empty
}

func (e *APIError) Error() string {
	s := fmt.Sprintf("%s: %s", e.Op, strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))))
	if e.Message != "" && e.Message != http.StatusText(e.Status) {
		s += ": " + e.Message
	}
	if e.Advice != "" {
		s += "; " + e.Advice
	}
	return s
}

// notFound reports whether err is an answer with status 404.
func notFound(err error) bool {
	var e *APIError
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// errUnknown means that a write got no answer, or one that reports a server error.
var errUnknown = errors.New("outcome unknown: the request may or may not have taken effect")

// momentary is an error that may be gone when the command is run again.
type momentary struct{ error }

func (m momentary) Unwrap() error { return m.error }

// passes reports whether err may be gone when the command is run again.
func passes(err error) bool {
	var e *APIError
	var m momentary
	return errors.Is(err, errUnknown) || errors.As(err, &m) ||
		errors.As(err, &e) && (e.Status == http.StatusTooManyRequests || temporary(e.Status))
}

// apiError returns an APIError with the reason that the answer gives, and advice.
func (c *Client) apiError(ctx context.Context, op operation, resp *http.Response, text []byte) error {
	e := &APIError{Op: op.name, Status: resp.StatusCode, Message: c.plain(reason(text))}
	switch own := e.Message != "" && !slices.Contains(refusals, strings.ToLower(strings.TrimSuffix(e.Message, "."))); {
	case e.Status < 400:
		if target, err := url.Parse(resp.Header.Get("Location")); err == nil && target.String() != "" {
			target.User, target.RawQuery, target.Fragment = nil, "", "" // they may hold secrets
			e.Message = c.plain("to " + target.String())
		}
		e.Advice = "redirects are not followed, because the keys would be sent along: check DD_SITE and -api"
	case e.Status == http.StatusTooManyRequests:
		e.Advice = "the API does not say when the rate limit ends"
		if wait := reset(resp.Header, time.Now()); wait > 0 {
			e.Advice = fmt.Sprintf("the rate limit ends in %s", wait.Round(time.Second))
		}
	case isPage(text) && e.Status < 500:
		e.Advice = "a page answered, not the API; check DD_SITE, -api and the proxy"
	case e.Status == http.StatusForbidden || e.Status == http.StatusUnauthorized && !own:
		e.Advice = c.refused(ctx, op.permission)
	case e.Status == http.StatusProxyAuthRequired:
		e.Advice = "the proxy in HTTPS_PROXY wants a user name and a password"
	}
	return e
}

// refusals are the words of answers that say only that the keys are not accepted.
var refusals = []string{"forbidden", "unauthorized", "authentication required", "authentication error", "invalid credentials", "invalid api key", "invalid keys"}

const (
	validatePath     = "/api/v1/validate"      // of the API key alone
	validateKeysPath = "/api/v2/validate_keys" // of both keys
)

// refused returns why the API refused a request that needs a permission. It asks the API
// about the keys once.
func (c *Client) refused(ctx context.Context, permission string) string {
	c.asked.Do(func() {
		status := func(path string) int { // 403 for a key that is not valid
			resp, text, err := c.send(ctx, operation{method: http.MethodGet, path: path})
			if err != nil {
				return 0
			}
			var answer struct{ Valid *bool }
			if json.Unmarshal(text, &answer) == nil && answer.Valid != nil && !*answer.Valid {
				return http.StatusForbidden
			}
			return resp.StatusCode
		}
		refused := []int{http.StatusUnauthorized, http.StatusForbidden}
		one, both := status(validatePath), 0
		if one == http.StatusOK {
			both = status(validateKeysPath)
		}
		switch {
		case slices.Contains(refused, one):
			c.verdict = fmt.Sprintf("DD_API_KEY is not a key of %s: the key is wrong, or DD_SITE is; the address of your pages in Datadog shows the site", c.cfg.Site)
			if c.cfg.Site == site.Sites[0] {
				c.verdict += "; without DD_SITE it is " + site.Sites[0]
			}
			if len(c.cfg.APIKey) == 40 && len(c.cfg.AppKey) == 32 {
				c.verdict += "; DD_API_KEY and DD_APP_KEY seem to be exchanged"
			}
		case slices.Contains(refused, both):
			c.verdict = "DD_APP_KEY is not an application key of this account; DD_API_KEY is valid"
		case both == http.StatusOK:
			c.verdict, c.lacks = "both keys are valid: ", true
		case one == http.StatusOK:
			c.verdict, c.lacks = "DD_API_KEY is valid: DD_APP_KEY is wrong, or lacks a permission: ", true
		default:
			c.verdict, c.lacks = "DD_API_KEY or DD_APP_KEY is wrong, or belongs to another DD_SITE, or ", true
		}
	})
	if !c.lacks {
		return c.verdict
	}
	return c.verdict + "the application key, its scopes and its owner's role need the permission " + permission
}

// reason returns what the body of an answer gives as the reason of a failure: the API
// has several forms, and a proxy answers with a page.
func reason(text []byte) string {
	if bytes.IndexByte(text, 0) >= 0 {
		return fmt.Sprintf("%d bytes that are not text", len(text))
	}
	if !json.Valid(text) {
		const most = 1 << 20 // bytes of a page: a longer one would take seconds
		return words(string(text[:min(len(text), most)]))
	}
	v, _ := decode(text)
	if o, ok := v.(map[string]any); ok {
		for _, field := range []string{"errors", "error_description", "error", "message", "detail", "reason", "title"} {
			if s := flat(o[field]); s != "" {
				return s
			}
		}
		delete(o, "data") // not a reason
	}
	return flat(v)
}

// flat returns a JSON value as words.
func flat(v any) string {
	var all []string
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		for _, e := range v {
			all = append(all, flat(e))
		}
	case map[string]any:
		text := func(field string) string { s, _ := v[field].(string); return s }
		if s := strings.TrimSpace(text("title") + " " + cmp.Or(text("detail"), text("message"))); s != "" {
			if source := flat(v["source"]); source != "" { // the field of the request
				s += " (" + source + ")"
			}
			return s
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if s := flat(v[key]); s != "" {
				all = append(all, key+": "+s)
			}
		}
	default:
		return fmt.Sprint(v)
	}
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "; ")
}

var (
	pageTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	invisible = regexp.MustCompile(`(?is)<(script|style|head|title)\b.*?</(script|style|head|title)>|<!--.*?-->`)
	element   = regexp.MustCompile(`(?s)<[^>]*>`)
)

// isPage reports whether an answer is HTML or XML, of a proxy or a login.
func isPage(text []byte) bool { return strings.HasPrefix(strings.TrimSpace(string(text)), "<") }

// words returns a text without the elements of HTML: of a page, its title and text.
func words(text string) string {
	var title string
	if m := pageTitle.FindStringSubmatch(text); m != nil {
		title = strings.TrimSpace(m[1]) + ": "
	}
	return strings.TrimSuffix(strings.TrimSpace(html.UnescapeString(title+element.ReplaceAllString(invisible.ReplaceAllString(text, " "), " "))), ":")
}

// plain returns a text from outside in one line, without keys, and shortened.
func (c *Client) plain(s string) string {
	for _, key := range []struct{ name, value string }{{"[DD_API_KEY]", c.cfg.APIKey}, {"[DD_APP_KEY]", c.cfg.AppKey}} {
		if len(key.value) > 3 { // a shorter one is no key, and would be in many words
			s = strings.ReplaceAll(s, key.value, key.name)
		}
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\ufffd"), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	const most = 300 // characters: a reason, not a page
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}
