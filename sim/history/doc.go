// Package history holds what the clients of a key-value store did and saw, over lives and
// crashes, and checks it.
//
// A recorder fills a History: a Tx for each transaction with all that it read and wrote, the end
// of each life, and the whole State that was read after each recovery. The package knows no
// store; a store that tells the seq of its commits and snapshots is checked more sharply.
//
// Check is the primary check. It builds, for each life, all versions of all keys by the seq of
// the commits, on top of the state that the life began with, and asks:
//
//   - replay: does each read, scan and lookup of a keyspace match the model, with the
//     transaction's own writes on top: of a Serializable commit just before its own seq, of a
//     Snapshot or ReadOnly one at its snapshot, of a ReadCommitted one operation by operation?
//     Did the first committer win? Reads of refused transactions must be real too.
//   - order: does each transaction see all that was acknowledged before it began, nothing from
//     the future, and does a client never go back?
//   - recovery: is the next life's state that after some prefix of the commits, and does the
//     prefix hold all that was promised? Transactions of unknown outcome are in it or not, but
//     whole.
//
// Cycles is the independent second opinion. It looks at list-append histories only, uses no seqs,
// and finds Adya's anomalies as cycles of dependencies (Adya, "Weak Consistency", 1999; Kingsbury
// and Alvaro, "Elle", 2020). Each level gets exactly the anomalies that it allows.
//
// A Checker keeps its memory from one history to the next. Nothing here is for concurrent use.
package history
