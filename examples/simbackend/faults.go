package main

// fault is one way in which a Backend breaks the contract.
type fault int

const (
	none fault = iota
	syncNothing
	syncDirNothing
	syncCleanHandle
	syncRetries
	createTruncates
	writeShort
	writeAppends
	writeErases
	readZerosPastEnd
	readErrorIsEnd
	truncateKeeps
	listFirstPage
	removeInvalidates
	closeDrops
	closeCloses
	errorsAsText
	lockNobody
	faults
)

// row tells of a fault: its name for -fault, what it does, and who has to find it.
type row struct {
	name, does string
	found      string // the conformance case that must find it; "": only the simulator can
	store      bool   // a store on it must break in the simulator
	profile    string // of the simulated disk that makes it show; "": crashes are enough
}

// table has a row for each fault.
var table = [faults]row{
	none:              {name: "none", does: "does what the contract says"},
	syncNothing:       {name: "sync-nothing", does: "Sync does nothing", found: "PowerCutKeepsSynced", store: true},
	syncDirNothing:    {name: "syncdir-nothing", does: "SyncDir does nothing", found: "PowerCutKeepsSynced", store: true},
	syncCleanHandle:   {name: "sync-clean-handle", does: "Sync skips what was written through another handle", found: "PowerCutSyncsAllHandles"},
	syncRetries:       {name: "sync-retries", does: "Sync that failed is tried again until it succeeds", store: true, profile: "drops"},
	createTruncates:   {name: "create-truncates", does: "Create empties a file that is there", found: "CreateTwice"},
	writeShort:        {name: "write-short", does: "WriteAt writes 4 KiB at most, and reports all", found: "ReadWrite", store: true},
	writeAppends:      {name: "write-appends", does: "WriteAt appends, whatever the offset (O_APPEND)", found: "ReadWrite", store: true},
	writeErases:       {name: "write-erases", does: "WriteAt erases whole sectors before it writes", found: "PowerCutSparesNeighbours", store: true},
	readZerosPastEnd:  {name: "read-zeros", does: "ReadAt past the end gives zeros and no error", found: "EndOfFile"},
	readErrorIsEnd:    {name: "read-error-is-end", does: "ReadAt takes an I/O error for the end of the file", store: true, profile: "eio"},
	truncateKeeps:     {name: "truncate-keeps", does: "Truncate keeps the bytes for when the file grows again", found: "TruncateDown"},
	listFirstPage:     {name: "list-first-page", does: "List shows the first three files", found: "List", store: true},
	removeInvalidates: {name: "remove-invalidates", does: "Remove closes the handles that others have", found: "RemoveWhileOpen"},
	closeDrops:        {name: "close-drops", does: "Close drops what was appended and not synced", found: "CloseUnsynced"},
	closeCloses:       {name: "close-closes", does: "Close closes all handles of the file", found: "ClosedHandle"},
	errorsAsText:      {name: "errors-as-text", does: "Open loses the cause of an error", found: "Missing"},
	lockNobody:        {name: "lock-nobody", does: "Lock locks nobody out", found: "LockExclusive"},
}
