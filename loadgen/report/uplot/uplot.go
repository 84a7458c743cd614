// Package uplot brings along the chart library that pages draw with: uPlot, by
// Leon Sorokin. README has its version.
package uplot

import "embed"

// Files are the library's script and style sheet, and its licence.
//
//go:embed uPlot.iife.min.js uPlot.min.css LICENSE
var Files embed.FS
