// Package site knows the form of what names a Datadog account: its site and its keys.
package site

import (
	"fmt"
	"slices"
	"strings"
)

// Sites are Datadog's sites, by their values of DD_SITE. The first is the default.
var Sites = []string{"datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "datadoghq.eu", "ap1.datadoghq.com",
	"ap2.datadoghq.com", "uk1.datadoghq.com", "ddog-gov.com", "us2.ddog-gov.com"}

// Check returns an error unless site is one of Sites.
func Check(site string) error {
	if slices.Contains(Sites, site) {
		return nil
	}
	bare := strings.ToLower(strings.Trim(site, " \t\"'"))
	bare = strings.TrimPrefix(strings.TrimPrefix(bare, "http://"), "https://")
	bare, _, _ = strings.Cut(bare, "/")
	for _, prefix := range []string{"app.", "api.", "www."} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	if slices.Contains(Sites, bare) {
		return fmt.Errorf("DD_SITE %q is not the name of a site; set DD_SITE=%s", site, bare)
	}
	return fmt.Errorf("DD_SITE %q is not a site of Datadog; the sites are %s", site, strings.Join(Sites, ", "))
}

// CheckKey returns an error if key, the value of the variable name, is missing or not the
// form of a key. The error does not contain the key.
func CheckKey(name, key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%s is not set", name)
	case strings.ContainsAny(key[:1]+key[len(key)-1:], "\"'`") || strings.HasPrefix(key, "\u201c"):
		return fmt.Errorf("%s is in quotes: remove them; a file of variables keeps quotes", name)
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%s contains a space or a character that is not ASCII", name)
	}
	return nil
}
