package flusher

// ParseCheckpointName returns the number of the checkpoint of which the file called name is a
// copy; ok is false for other files.
func ParseCheckpointName(name string) (number uint64, ok bool) { return parseCheckpointName(name) }
