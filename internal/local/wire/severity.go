package wire

import "strings"

// SeverityLevel returns the level of a log record of OpenTelemetry: that of its
// severity number (1 to 24), else that of its text, else INFO.
// https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
func SeverityLevel(number int, text string) string {
	if number > 0 {
		return severityLevel(number)
	}
	if level := wordLevel(text); level != "" {
		return level
	}
	if text = strings.TrimSpace(text); text != "" && len(text) <= maxLevel {
		return valid(strings.ToUpper(text))
	}
	return Info
}

// maxLevel bounds a level of a program's own, in bytes.
const maxLevel = 32

// severityLevel returns the level of a severity number: each level has four of them.
func severityLevel(number int) string {
	return numberLevel(float64(10 * max(1, min((number-1)/4+1, 6))))
}
