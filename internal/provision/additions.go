package provision

// additions complete schema.json: what the API accepts and returns although the
// published specification lacks it, as recorded by the tests of Datadog's API client and
// Terraform provider, and the request for a downtime, which belongs to version 2 of the
// API.
var additions = map[string]model{
	// A tab names widgets by ID, or by place: @1 is the first.
	"DashboardTab":    {fields: map[string]string{"id": "string", "widget_ids!": "[]WidgetReference"}},
	"WidgetReference": {one: []string{"integer", "string"}},
	// A request with one formula needs no index.
	"WidgetFormulaSort": {fields: map[string]string{"index": "integer"}},
	"Monitor":           {fields: map[string]string{"classification": "string"}},
	// The API takes back what it returns.
	"ServiceLevelObjectiveRequest": {fields: map[string]string{"id": "string", "created_at": "integer", "modified_at": "integer",
		"creator": "any", "monitor_tags": "[]string", "type_id": "integer"}},
	"SLOThreshold": {fields: map[string]string{"target_display": "string", "warning_display": "string"}},

	"DowntimeRequest":    {fields: map[string]string{"data!": "DowntimeData"}},
	"DowntimeData":       {fields: map[string]string{"id": "string", "type!": "DowntimeType", "attributes!": "DowntimeAttributes"}},
	"DowntimeType":       {enum: []any{"downtime"}},
	"DowntimeEndState":   {enum: []any{"alert", "no data", "warn"}},
	"DowntimeEndType":    {enum: []any{"canceled", "expired"}},
	"DowntimeByID":       {fields: map[string]string{"monitor_id!": "integer"}},
	"DowntimeByTags":     {fields: map[string]string{"monitor_tags!": "[]string"}},
	"DowntimeMonitor":    {one: []string{"DowntimeByID", "DowntimeByTags"}},
	"DowntimeOnce":       {fields: map[string]string{"start": "time", "end": "time"}},
	"DowntimeRecurring":  {fields: map[string]string{"recurrences!": "[]DowntimeRecurrence", "timezone": "string"}},
	"DowntimeRecurrence": {fields: map[string]string{"duration!": "string", "rrule!": "string", "start": "string"}},
	"DowntimeSchedule":   {one: []string{"DowntimeRecurring", "DowntimeOnce"}},
	"DowntimeAttributes": {fields: map[string]string{"display_timezone": "string", "message": "string", "monitor_identifier!": "DowntimeMonitor",
		"mute_first_recovery_notification": "boolean", "notify_end_states": "[]DowntimeEndState", "notify_end_types": "[]DowntimeEndType",
		"schedule": "DowntimeSchedule", "scope!": "string"}},
}
