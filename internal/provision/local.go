package provision

import "time"

// Local returns the definitions as apply would send them, for an evaluation without an
// account. A definition's key takes the place of its ID, and url returns the address of its
// page. Recurring downtimes start in the week before values.Now: one that has begun is among
// them.
func (all Definitions) Local(values Values, url func(Ref) string) (Definitions, error) {
	values.Now = values.Now.Add(-8 * 24 * time.Hour)
	return all.fill(values, func(ref Ref) Target { return Target{ref.Key, url(ref)} })
}
