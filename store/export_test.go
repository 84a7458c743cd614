package store

// Queries are those that read visits, by the number of rows each may read.
var Queries = map[string]int{latestVisit: 1, recentVisits: 20}
