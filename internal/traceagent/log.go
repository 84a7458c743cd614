package traceagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// coreLogger writes the log of the Agent's code to a slog.Logger. The Agent's
// info level becomes debug.
type coreLogger struct{ to *slog.Logger }

func (l coreLogger) log(level slog.Level, message string) error {
	l.to.Log(context.Background(), level, message)
	return errors.New(message)
}

func (l coreLogger) Trace(v ...any)                 {}
func (l coreLogger) Tracef(format string, v ...any) {}
func (l coreLogger) Debug(v ...any)                 {}
func (l coreLogger) Debugf(format string, v ...any) {}
func (l coreLogger) Info(v ...any)                  { l.log(slog.LevelDebug, fmt.Sprint(v...)) }
func (l coreLogger) Infof(format string, v ...any)  { l.log(slog.LevelDebug, fmt.Sprintf(format, v...)) }
func (l coreLogger) Warn(v ...any) error            { return l.log(slog.LevelWarn, fmt.Sprint(v...)) }
func (l coreLogger) Warnf(format string, v ...any) error {
	return l.log(slog.LevelWarn, fmt.Sprintf(format, v...))
}
func (l coreLogger) Error(v ...any) error { return l.log(slog.LevelError, fmt.Sprint(v...)) }
func (l coreLogger) Errorf(format string, v ...any) error {
	return l.log(slog.LevelError, fmt.Sprintf(format, v...))
}
func (l coreLogger) Critical(v ...any) error { return l.log(slog.LevelError, fmt.Sprint(v...)) }
func (l coreLogger) Criticalf(format string, v ...any) error {
	return l.log(slog.LevelError, fmt.Sprintf(format, v...))
}
func (l coreLogger) Flush() {}
