package report

import (
	"io"

	"apmapp/loadgen/openloop"
)

// Percentiles writes the response times of a result, in milliseconds, in the
// format of HdrHistogram's plotter:
// https://hdrhistogram.github.io/HdrHistogram/plotFiles.html
func Percentiles(w io.Writer, r *openloop.Result) error {
	return r.Total.Response.WritePercentiles(w)
}
