package viewer

import (
	"net/http"
	"time"
)

// Faults causes faults in the program that has the pages, one at a time.
type Faults interface {
	Faults() []Fault
	// Last returns the running fault, or the last one; "" before the first.
	Last() (name string, running bool, lines []FaultLine)
	// Start begins a fault. It returns an error if it cannot begin.
	Start(name string) error
	// End undoes the running fault.
	End()
}

// Fault is a fault on the page Faults.
type Fault struct {
	Name string `json:"name"`
	// Why is one sentence: what happens and why. Signs are what should be seen.
	Why   string   `json:"why"`
	Signs []string `json:"signs"`
}

// FaultLine is one line about a fault that was caused.
type FaultLine struct {
	At   time.Time `json:"time"`
	Text string    `json:"text"`
	// Page is the path of the page that shows it, or "".
	Page string `json:"page,omitempty"`
	// Bad lines are about what failed.
	Bad bool `json:"bad,omitempty"`
}

// faultsData is the data of the page Faults, and its JSON.
type faultsData struct {
	Faults  []Fault     `json:"faults"`
	Last    string      `json:"last"`
	Running bool        `json:"running"`
	Lines   []FaultLine `json:"lines"`
	// Problem is why a fault could not begin, or "".
	Problem string `json:"-"`
}

func (v *viewer) faultsData() faultsData {
	d := faultsData{Faults: v.Faults.Faults()}
	d.Last, d.Running, d.Lines = v.Faults.Last()
	return d
}

func (v *viewer) faults(w http.ResponseWriter, _ *http.Request) {
	v.show(w, http.StatusOK, "faults", page{Title: "Faults", Section: "faults", Live: true, Data: v.faultsData()})
}

func (v *viewer) apiFaults(w http.ResponseWriter, _ *http.Request) { v.answer(w, v.faultsData()) }

func (v *viewer) startFault(w http.ResponseWriter, r *http.Request) {
	if err := v.Faults.Start(r.PostFormValue("name")); err != nil {
		data := v.faultsData()
		data.Problem = err.Error()
		v.show(w, http.StatusConflict, "faults", page{Title: "Faults", Section: "faults", Data: data})
		return
	}
	http.Redirect(w, r, "/faults", http.StatusSeeOther)
}

func (v *viewer) endFault(w http.ResponseWriter, r *http.Request) {
	v.Faults.End()
	http.Redirect(w, r, "/faults", http.StatusSeeOther)
}
