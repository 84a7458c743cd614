package handlers

import (
	"mime"
	"strconv"
	"strings"
)

// prefersJSON reports whether the Accept headers of a request prefer JSON to
// Flask's text/html. If both have the same quality, the type that is named more
// precisely wins, then text/html: browsers and */* get text.
// https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
func prefersJSON(accept []string) bool {
	json, html := preference{precision: -1}, preference{precision: -1}
	for _, header := range accept {
		for element := range strings.SplitSeq(header, ",") {
			mediaRange, params, err := mime.ParseMediaType(element)
			if err != nil {
				continue
			}
			quality := 1.0
			if q, ok := params["q"]; ok {
				if quality, err = strconv.ParseFloat(q, 64); err != nil {
					continue
				}
			}
			json.consider("application/json", mediaRange, quality)
			html.consider("text/html", mediaRange, quality)
		}
	}
	switch {
	case json.quality <= 0:
		return false
	case json.quality != html.quality:
		return json.quality > html.quality
	default:
		return json.precision > html.precision
	}
}

// preference is the quality of a type, from the most precise range that contains
// it.
type preference struct {
	quality   float64
	precision int // 0 for */*, 1 for type/*, 2 for type/subtype
}

func (p *preference) consider(mediaType, mediaRange string, quality float64) {
	kind, _, _ := strings.Cut(mediaType, "/")
	var precision int
	switch mediaRange {
	case "*/*":
		precision = 0
	case kind + "/*":
		precision = 1
	case mediaType:
		precision = 2
	default:
		return
	}
	if precision > p.precision {
		*p = preference{quality, precision}
	}
}
