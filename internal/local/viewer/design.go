package viewer

import "net/http"

// design shows the design system of style.css.
func (v *viewer) design(w http.ResponseWriter, _ *http.Request) {
	bar := func(values ...float64) overTime {
		o := overTime{Layers: []layer{{Name: "2xx", Color: "s2"}, {Name: "3xx", Color: "s3"}, {Name: "4xx", Color: "s4"}, {Name: "5xx", Color: "s5"}}}
		for i, p50 := range values {
			o.Time = append(o.Time, int64(1_700_000_000+10*i))
			p95, p99 := 3*p50, 5*p50
			o.P50, o.P95, o.P99 = append(o.P50, &p50), append(o.P95, &p95), append(o.P99, &p99)
			for n := range o.Layers {
				o.Layers[n].Values, o.Layers[n].Top = append(o.Layers[n].Values, p50), append(o.Layers[n].Top, p50*float64(len(o.Layers)-n))
			}
		}
		return o
	}
	v.show(w, http.StatusOK, "design", page{Title: "Design", Data: struct {
		Spaces, Fonts, Grounds, Texts, Lines, Statuses []string
		Chart                                          overTime
	}{
		[]string{"space-1", "space-2", "space-3", "space-4", "space-5", "space-6"},
		[]string{"font-small", "font", "font-big", "font-title"},
		[]string{"ground", "panel", "mark"},
		[]string{"text", "quiet", "link", "good", "warn", "bad"},
		[]string{"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"},
		[]string{"s2", "s3", "s4", "s5"},
		bar(1, 2, 3, 2, 1, 1, 4, 2, 2, 1),
	}})
}
