package flusher

// String says what the client is told, for traces.
func (r *ErrorReply) String() string {
	if r.Err != nil {
		return "failed: " + r.Err.Error()
	}
	return "done"
}
