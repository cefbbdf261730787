package txcoord

// String says what the client is told, for traces.
func (r *CommitReply) String() string { return r.Result.String() }
