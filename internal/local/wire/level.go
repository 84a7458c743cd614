package wire

import (
	"strconv"
	"strings"
)

// The levels.
const (
	Debug    = "DEBUG"
	Info     = "INFO"
	Warn     = "WARN"
	Error    = "ERROR"
	Critical = "CRITICAL"
)

// words are the levels of common loggers.
var words = map[string]string{
	"trace": Debug, "trc": Debug, "trce": Debug, "verbose": Debug, "vrb": Debug, "debug": Debug, "dbg": Debug, "dbug": Debug,
	"fine": Debug, "finer": Debug, "finest": Debug, "silly": Debug, "d": Debug, "t": Debug, "v": Debug,
	"info": Info, "inf": Info, "information": Info, "informational": Info, "notice": Info, "ok": Info, "success": Info,
	"config": Info, "log": Info, "http": Info, "i": Info, "n": Info,
	"warn": Warn, "wrn": Warn, "warning": Warn, "w": Warn,
	"error": Error, "err": Error, "eror": Error, "severe": Error, "fail": Error, "e": Error,
	"critical": Critical, "crit": Critical, "fatal": Critical, "ftl": Critical, "alert": Critical, "emergency": Critical, "emerg": Critical,
	"panic": Critical, "dpanic": Critical, "f": Critical, "c": Critical, "a": Critical,
}

// LevelOf returns the level that a word such as err or warning means; "" for any other word.
func LevelOf(word string) string { return wordLevel(word) }

// wordLevel returns the level of a word, also with an offset as slog writes it
// (WARN+1); "" for any other word.
func wordLevel(word string) string {
	word = strings.ToLower(strings.TrimSpace(word))
	if i := strings.IndexAny(word, "+-"); i > 0 && isNumber(word[i+1:]) {
		word = word[:i]
	}
	return words[word]
}

// numberLevel returns the level of a number: of syslog (0 to 7), pino and bunyan (10 to
// 60), Monolog and Google Cloud (100 to 800) or log4j (5000 to 50000).
func numberLevel(n float64) string {
	pick := func(debug, info, warn, err float64) string {
		switch {
		case n < debug:
			return Debug
		case n < info:
			return Info
		case n < warn:
			return Warn
		case n < err:
			return Error
		}
		return Critical
	}
	switch {
	case n < 0: // slog.LevelDebug is -4
		return Debug
	case n <= 2:
		return Critical
	case n <= 7:
		return []string{Error, Warn, Info, Info, Debug}[int(n)-3]
	case n < 100:
		return pick(30, 40, 50, 60)
	case n < 1000: // 200 is info, 250 or 300 notice, 300 or 400 warning, 400 or 500 error
		return pick(200, 300, 400, 500)
	}
	return pick(20000, 30000, 40000, 50000)
}

// levelNames are the attributes that have a level. Names before numbers: Monolog has
// level_name beside a numeric level.
var levelNames = []string{"level_name", "levelname", "level", "status", "severity", "syslog.severity", "log.level", "@l", "severity_text", "SeverityText", "LogLevel", "loglevel", "Level", "lvl"}

// levelOf returns the level of a line: INFO if it has none.
func levelOf(a attributes) string {
	for _, name := range levelNames {
		text, number := a.get(name)
		if text == "" {
			continue
		}
		if level := wordLevel(text); level != "" {
			return level
		}
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			// A status of three digits is of HTTP.
			if name != "status" || n >= 0 && n <= 7 {
				return numberLevel(n)
			}
			continue
		}
		if !number && name == "level" && len(text) <= maxLevel {
			return strings.ToUpper(text)
		}
	}
	if text, _ := a.get("levelno"); text != "" { // Python: 10 is debug, 50 critical
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return numberLevel(n + 10)
		}
	}
	if text, _ := a.get("severity_number"); text != "" { // OpenTelemetry: 1 to 24
		if n, err := strconv.Atoi(text); err == nil {
			return severityLevel(n)
		}
	}
	return Info
}
