// Package site knows the form of what names a Datadog account: its site and its keys.
package site

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Sites are Datadog's sites, by their values of DD_SITE. The first is the default.
var Sites = []string{"datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "datadoghq.eu", "ap1.datadoghq.com",
	"ap2.datadoghq.com", "uk1.datadoghq.com", "ddog-gov.com", "us2.ddog-gov.com"}

var (
	// hostOf finds the host in a URL, or in a text in quotes.
	hostOf = regexp.MustCompile(`^[\s"']*(?:https?://)?([a-z0-9.-]*[a-z0-9])`)
	region = regexp.MustCompile(`^[a-z]{2}\d$`) // of a site, which may be newer than Sites
)

// Check returns an error unless site is one of Sites.
func Check(site string) error {
	if slices.Contains(Sites, site) {
		return nil
	}
	var host, suggestion string
	if m := hostOf.FindStringSubmatch(strings.ToLower(site)); m != nil {
		host = m[1]
	}
	for _, s := range Sites {
		// The address of pages begins with app, or with the name of an organization.
		name, ok := strings.CutSuffix(host, "."+s)
		own := ok && !region.MatchString(name) || host == s || host == strings.TrimSuffix(s, ".datadoghq.com")
		if own && len(s) > len(suggestion) {
			suggestion = s
		}
	}
	switch host { // Datadog's names of regions
	case "us", "us1":
		suggestion = "datadoghq.com"
	case "eu", "eu1":
		suggestion = "datadoghq.eu"
	}
	if suggestion != "" {
		return fmt.Errorf("DD_SITE %q is not the name of a site; set DD_SITE=%s", site, suggestion)
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
