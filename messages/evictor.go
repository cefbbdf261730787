package messages

// ToEvictor is the inbox of the evictor.
type ToEvictor interface {
	Message
	toEvictor()
}

// PagesLoaded: readers → evictor: fresh pages wait on the cache's list. Coalesced.
type PagesLoaded struct{}

// IndexBytes: txcoord → evictor: memory that version indexes hold, which the page cache may
// not use.
type IndexBytes struct{ Bytes int64 }

// TablesRetired: flusher → evictor: pages of retired tables can be let go.
type TablesRetired struct{}

// EvictorStats is a snapshot of the evictor's figures.
type EvictorStats struct {
	Resident, Target, Hard, Budget int64 // bytes
	Pages                          int
	Sweeps, Evicted, EvictedBytes  uint64
	IndexBytes                     int64
}

// EvictorStatsRequest: client → evictor: its figures.
type EvictorStatsRequest struct{ Reply Reply[EvictorStats] }

func (PagesLoaded) toEvictor()          {}
func (IndexBytes) toEvictor()           {}
func (TablesRetired) toEvictor()        {}
func (*EvictorStatsRequest) toEvictor() {}
func (Tick) toEvictor()                 {}
