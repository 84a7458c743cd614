package site

import (
	"fmt"
	"strings"
	"testing"
)

// The names of sites as people write them.
func TestCheck(t *testing.T) {
	for site, want := range map[string]string{
		"app.datadoghq.eu":                    "; set DD_SITE=datadoghq.eu",
		"https://us5.datadoghq.com/":          "; set DD_SITE=us5.datadoghq.com",
		"http://app.datadoghq.com/x?y":        "; set DD_SITE=datadoghq.com",
		"api.us3.datadoghq.com":               "; set DD_SITE=us3.datadoghq.com",
		"www.datadoghq.com":                   "; set DD_SITE=datadoghq.com",
		` "DATADOGHQ.EU" `:                    "; set DD_SITE=datadoghq.eu",
		"'ap1.datadoghq.com'":                 "; set DD_SITE=ap1.datadoghq.com",
		"acme.datadoghq.com":                  "; set DD_SITE=datadoghq.com", // an organization's own address
		"https://acme.us5.datadoghq.com/dash": "; set DD_SITE=us5.datadoghq.com",
		"datadoghq.com:443":                   "; set DD_SITE=datadoghq.com",
		"datadoghq.eu.\n":                     "; set DD_SITE=datadoghq.eu",
		"EU":                                  "; set DD_SITE=datadoghq.eu",
		"us1":                                 "; set DD_SITE=datadoghq.com",
		"us5":                                 "; set DD_SITE=us5.datadoghq.com",
		"us7.datadoghq.com":                   " is not a site of Datadog; ", // it may be a new one
		"notdatadoghq.com":                    " is not a site of Datadog; ",
		"datadog.com":                         " is not a site of Datadog; the sites are datadoghq.com, us3.datadoghq.com, ",
		"":                                    " is not a site of Datadog; the sites are datadoghq.com, us3.datadoghq.com, ",
	} {
		if err := Check(site); err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("DD_SITE %q", site)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", site, err, want)
		}
	}
	for site := range strings.FieldsSeq("datadoghq.com us3.datadoghq.com us5.datadoghq.com datadoghq.eu ap1.datadoghq.com ap2.datadoghq.com uk1.datadoghq.com ddog-gov.com us2.ddog-gov.com") {
		if err := Check(site); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for key, want := range map[string]string{
		"":            "DD_API_KEY is not set",
		`"abc"`:       "DD_API_KEY is in quotes: ",
		"abc`":        "DD_API_KEY is in quotes: ",
		"\u201cabc":   "DD_API_KEY is in quotes: ",
		"ab c":        "DD_API_KEY contains a space ",
		"abc\n":       "DD_API_KEY contains a space ",
		"ab\u00e9c":   "DD_API_KEY contains a space or a character that is not ASCII",
		"a\x7f":       "DD_API_KEY contains a space ",
		"'abc'":       "DD_API_KEY is in quotes: ",
		"0123abcdEF-": "<nil>",
		"!~":          "<nil>", // the first and the last character that is allowed
	} {
		err := CheckKey("DD_API_KEY", key)
		if got := fmt.Sprint(err); !strings.HasPrefix(got, want) || key != "" && strings.Contains(got, key) {
			t.Errorf("%q: %s, want %s", key, got, want)
		}
	}
}
