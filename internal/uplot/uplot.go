// Package uplot embeds uPlot, the chart library by Leon Sorokin, which the local
// agent's pages and loadgen's reports draw with. README has its version.
package uplot

import "embed"

// Files holds the library's script, style sheet and license.
//
//go:embed uPlot.iife.min.js uPlot.min.css LICENSE
var Files embed.FS
