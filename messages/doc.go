// Package messages defines every message of the actor graph, one sealed interface per inbox.
// It holds no logic beyond the one-shot Reply and the framing of a log record, which its two
// sides (txcoord, walwriter) must agree on.
//
//	sender → receiver        message         acknowledged by
//	client → txcoord         *Commit         its Reply: applied (NoSync), durable (Sync), or why not
//	client → txcoord         *Await          its Reply, once durable reaches UpTo
//	client → txcoord         *Checkpoint     its Reply, once a checkpoint covers what was applied
//	txcoord → walwriter      Append          Written, and Durable if it asked for a sync
//	txcoord → walwriter      Reserve         Written with the credit, or NoSpace
//	txcoord → flusher        Flush           Flushed, or FlushFailed
//	txcoord → flusher        Reclaim         none: the files are removed when possible
//	txcoord → evictor        IndexBytes      none
//	walwriter → txcoord      Written         none (credit)
//	walwriter → txcoord      Durable         none (watermark)
//	walwriter → txcoord      NoSpace         none
//	walwriter → txcoord      Poisoned        none
//	txcoord → flusher        Seen            none (watermark)
//	flusher → txcoord        Flushed         Seen; and Reclaim, once no View holds the replaced tables
//	flusher → txcoord        FlushFailed     Seen (flusher tries again by itself)
//	flusher → walwriter      Release         none
//	flusher → evictor        TablesRetired   none
//	readers → evictor        PagesLoaded     none (coalesced)
//	client → flusher         *Compact        its Reply
//	client → flusher         *Ingest         its Reply, once a checkpoint names the tables
//	client → flusher         *Hold           its Reply, once no publication is under way
//	client → flusher         Unhold          none
//	client → each            *…StatsRequest  its Reply
//	job → its machine        …JobDone        none; carries the job and its error
//	shell → each             Tick            none; asked for by an Alarm in the outbox
//
// A message is immutable once sent. What a message points to is either immutable, or owned by
// the receiver from then on; each type says which.
package messages
