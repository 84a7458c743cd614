package otlp

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// maxDepth is how deep messages may be nested. A value needs two levels for each
	// list or map around it, or three. The decoder has no limit: 10 MB of nested lists
	// need a stack of 600 MB.
	maxDepth = 200
	// maxMessages is the largest number of messages in a request. An empty span
	// has two bytes in a request and 250 in memory. 10,000 spans with 20 attributes are
	// 410,000 messages.
	maxMessages = 500_000
)

// hostile returns why a request would need too much memory, or "". Malformed
// requests are for the decoder.
func hostile(root kind, f format, body []byte) string {
	if f == jsonFormat { // json.Valid bounds the depth
		if bytes.Count(body, []byte("{")) > maxMessages {
			return "it has too many objects"
		}
		return ""
	}
	messages := 0
	return nested(root, body, maxDepth, &messages)
}

// nested counts the messages in a message and compares their depth with the rest
// that is allowed.
func nested(of kind, body []byte, depth int, messages *int) string {
	if depth == 0 {
		return "values are nested too deep"
	}
	for len(body) > 0 {
		field, wireType, n := protowire.ConsumeTag(body)
		if n < 0 {
			return ""
		}
		body = body[n:]
		if n = protowire.ConsumeFieldValue(field, wireType, body); n < 0 {
			return ""
		}
		if inside, found := of[field]; found && wireType == protowire.BytesType {
			if *messages++; *messages > maxMessages {
				return "it has too many messages"
			}
			value, _ := protowire.ConsumeBytes(body)
			if why := nested(inside, value, depth-1, messages); why != "" {
				return why
			}
		}
		body = body[n:]
	}
	return ""
}

// kind is a type of message: the types of its fields that are messages.
// https://github.com/open-telemetry/opentelemetry-proto
type kind map[protowire.Number]kind

var (
	anyValue    = kind{}
	keyValue    = kind{2: anyValue}
	exemplar    = kind{7: keyValue}
	numberPoint = kind{5: exemplar, 7: keyValue}

	tracesRequest = requestOf(kind{
		9:  keyValue,
		11: {3: keyValue}, // events
		13: {4: keyValue}, // links
		15: {},            // status
	})
	logsRequest = requestOf(kind{
		5: anyValue, // body
		6: keyValue,
	})
	metricsRequest = requestOf(kind{
		5:  {1: numberPoint},                               // gauge
		7:  {1: numberPoint},                               // sum
		9:  {1: {8: exemplar, 9: keyValue}},                // histogram
		10: {1: {1: keyValue, 8: {}, 9: {}, 11: exemplar}}, // exponential_histogram
		11: {1: {6: {}, 7: keyValue}},                      // summary
		12: keyValue,                                       // metadata
	})
)

// requestOf returns the type of a request with items by scope and resource.
func requestOf(item kind) kind {
	scope := kind{1: {3: keyValue}, 2: item}
	resource := kind{1: keyValue, 3: {}}                 // attributes, entity_refs
	return kind{1: {1: resource, 2: scope, 1000: scope}} // the decoder takes the deprecated number too
}

func init() { // values may contain values
	anyValue[5] = kind{1: anyValue} // array_value
	anyValue[6] = kind{1: keyValue} // kvlist_value
}
