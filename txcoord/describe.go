package txcoord

// String says what the client is told, for traces.
func (r *CommitReply) String() string { return r.Result.String() }

// String says what the client is told, for traces.
func (r *ErrorReply) String() string {
	if r.Err != nil {
		return "failed: " + r.Err.Error()
	}
	return "done"
}
