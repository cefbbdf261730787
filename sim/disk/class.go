package disk

// Class is a row of the fault table: what an engine must do about a fault depends on it.
type Class uint8

// The classes of faults.
const (
	Crash    Class = iota // a life ends, and a power cut takes what is not synced
	EIORead               // a read fails
	EIOWrite              // a write or a truncation fails
	EIOSync               // a sync of a file or of the directory fails
	EIOName               // a create, open or remove fails
	NoSpace               // the medium is full, for a while
	Media                 // the medium damages what was synced
	Lying                 // a sync says that it is done and does nothing
	Time                  // a call takes long
	classes
)

var classNames = [classes]string{"crash", "eio-read", "eio-write", "eio-sync", "eio-name", "enospc", "media", "lying", "time"}

// String returns the class's name in lower case.
func (c Class) String() string {
	if c < classes {
		return classNames[c]
	}
	return "unknown"
}

// Classes returns all classes in order.
func Classes() []Class {
	all := make([]Class, classes)
	for i := range all {
		all[i] = Class(i)
	}
	return all
}
