package otlp

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// unified are the resource attributes that become tags: those of Datadog's unified
// service tagging, and the host. The first attribute of a tag wins.
//
// The others do not become tags. Many, such as process.pid and service.instance.id,
// have another value after each restart of a program, which would make new series of
// all its metrics.
var unified = []struct{ attribute, tag string }{
	{"service.name", "service"},
	{"deployment.environment.name", "env"},
	{"deployment.environment", "env"},
	{"service.version", "version"},
	{"host.name", "host"},
}

const (
	// maxTag bounds a tag in bytes, as Datadog does.
	maxTag = 200
	// maxTags bounds the tags of a data point.
	maxTags = 100
)

// resourceTags returns the tags of a resource.
func resourceTags(attributes pcommon.Map) []string {
	var tags []string
	for _, u := range unified {
		value, found := attributes.Get(u.attribute)
		if !found || value.AsString() == "" || slices.ContainsFunc(tags, func(tag string) bool { return strings.HasPrefix(tag, u.tag+":") }) {
			continue
		}
		tags = append(tags, tagOf(u.tag, value))
	}
	return tags
}

// pointTags returns the tags of a data point with those of its resource, sorted,
// without duplicates; false if there are too many. An attribute of the point that has
// the name of a tag of the resource replaces it.
func pointTags(ofResource []string, attributes pcommon.Map) ([]string, bool) {
	if attributes.Len() > maxTags {
		return nil, false
	}
	tags := make([]string, 0, len(ofResource)+attributes.Len())
	for _, tag := range ofResource {
		name, _, _ := strings.Cut(tag, ":")
		if _, found := attributes.Get(name); !found {
			tags = append(tags, tag)
		}
	}
	for key, value := range attributes.All() {
		tags = append(tags, tagOf(key, value))
	}
	slices.Sort(tags)
	return slices.Compact(tags), true
}

// tagOf returns an attribute as a tag. In tags, a comma would begin the next one.
func tagOf(key string, value pcommon.Value) string {
	tag := valid(key + ":" + value.AsString())
	if len(tag) > maxTag {
		tag = tag[:maxTag]
		for !utf8.ValidString(tag) {
			tag = tag[:len(tag)-1]
		}
	}
	return strings.Map(func(r rune) rune {
		if r == ',' || r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, tag)
}

// valid replaces bytes that are not UTF-8: the decoder takes any bytes.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// sorted returns the attributes in the order of their names.
func sorted(attributes pcommon.Map) []attribute {
	all := make([]attribute, 0, attributes.Len())
	for key, value := range attributes.All() {
		all = append(all, attribute{key, value})
	}
	slices.SortStableFunc(all, func(a, b attribute) int { return cmp.Compare(a.key, b.key) })
	return all
}

type attribute struct {
	key   string
	value pcommon.Value
}
