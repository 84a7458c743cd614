package provision

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestSites(t *testing.T) {
	for site, want := range map[string]string{
		"datadoghq.com": "https://app.datadoghq.com/monitors/7", "datadoghq.eu": "https://app.datadoghq.eu/monitors/7",
		"us3.datadoghq.com": "https://us3.datadoghq.com/monitors/7", "ddog-gov.com": "https://app.ddog-gov.com/monitors/7",
	} {
		c, err := NewClient(Config{APIKey: "a", AppKey: "b", Site: site})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.link(object{kind: Monitor, id: json.Number("7")}); got != want {
			t.Errorf("%s: %s, want %s", site, got, want)
		}
	}
	if fmt.Sprint(anyTarget(Ref{Monitor, "a"}).ID) != "1" {
		t.Error("a monitor's ID is a number")
	}
}
