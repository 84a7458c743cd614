package provision

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadog"
)

// downtimeRequest returns the model of the request that creates a downtime: what the
// client's package for version 2 of the API calls DowntimeCreateRequest. The types
// have the form that Check expects of the client's. The two with names stand for one
// of several types, and errors contain their names.
func downtimeRequest() reflect.Type {
	type (
		ID struct {
			Monitor int64 `json:"monitor_id"`
		}
		Tags struct {
			Monitor []string `json:"monitor_tags"`
		}
		DowntimeMonitorIdentifier struct {
			*ID
			*Tags
			UnparsedObject any `json:"-"`
		}
		Once struct {
			Start NullableInstant `json:"start,omitzero"`
			End   NullableInstant `json:"end,omitzero"`
		}
		Recurring struct {
			Recurrences []struct {
				Duration string                 `json:"duration"`
				Rrule    string                 `json:"rrule"`
				Start    datadog.NullableString `json:"start,omitzero"`
			} `json:"recurrences"`
			Timezone *string `json:"timezone,omitzero"`
		}
		DowntimeScheduleCreateRequest struct {
			*Recurring
			*Once
			UnparsedObject any `json:"-"`
		}
	)
	return reflect.TypeFor[struct {
		Data struct {
			Type       downtimeType `json:"type"`
			Attributes struct {
				DisplayTimezone   datadog.NullableString         `json:"display_timezone,omitzero"`
				Message           datadog.NullableString         `json:"message,omitzero"`
				Monitor           DowntimeMonitorIdentifier      `json:"monitor_identifier"`
				MuteFirstRecovery *bool                          `json:"mute_first_recovery_notification,omitzero"`
				NotifyEndStates   []endState                     `json:"notify_end_states,omitzero"`
				NotifyEndTypes    []endType                      `json:"notify_end_types,omitzero"`
				Schedule          *DowntimeScheduleCreateRequest `json:"schedule,omitzero"`
				Scope             string                         `json:"scope"`
			} `json:"attributes"`
		} `json:"data"`
	}]()
}

// NullableInstant is a time or null. The client's NullableTime panics on null.
type NullableInstant struct{ datadog.NullableTime }

// MarshalJSON returns the time or null.
func (v NullableInstant) MarshalJSON() ([]byte, error) { return json.Marshal(v.Get()) }

// The enumerations of a downtime.
type (
	downtimeType string
	endState     string // in which the end of a downtime notifies
	endType      string // of a downtime, that notifies
)

func (downtimeType) GetAllowedValues() []downtimeType { return []downtimeType{"downtime"} }
func (endState) GetAllowedValues() []endState         { return []endState{"alert", "no data", "warn"} }
func (endType) GetAllowedValues() []endType           { return []endType{"canceled", "expired"} }

func (v downtimeType) IsValid() bool { return slices.Contains(v.GetAllowedValues(), v) }
func (v endState) IsValid() bool     { return slices.Contains(v.GetAllowedValues(), v) }
func (v endType) IsValid() bool      { return slices.Contains(v.GetAllowedValues(), v) }
