package sqlitedb

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"

	"github.com/mattn/go-sqlite3"

	"github.com/aegis-storage/aegis/bench/engine"
)

// conn is a connection with its statements. database/sql would add its own pool and locks, and a
// conversion of each argument; what it stands on is as easily called.
type conn struct {
	c                                                         *sqlite3.SQLiteConn
	get, scan, put, begin, immediate, touch, commit, rollback *sqlite3.SQLiteStmt

	args [2]driver.NamedValue
	dest [3]driver.Value
}

func connect(dsn string) (_ *conn, err error) {
	opened, err := new(sqlite3.SQLiteDriver).Open(dsn)
	if err != nil {
		return nil, err
	}
	c := &conn{c: opened.(*sqlite3.SQLiteConn)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	for _, setup := range []string{
		"PRAGMA mmap_size = 2147418112",
		// Fewer, larger checkpoints write a page once that many commits have changed. Readers have
		// more log to search; 64 MiB is where neither counts.
		"PRAGMA wal_autocheckpoint = 16384",
		// Without rowids the keys' own tree holds the values: one descent, not two.
		"CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
	} {
		if _, err := c.c.Exec(setup, nil); err != nil {
			return nil, err
		}
	}
	for _, p := range []struct {
		to  **sqlite3.SQLiteStmt
		sql string
	}{
		{&c.get, "SELECT v FROM kv WHERE k = ?"},
		{&c.scan, "SELECT k, v FROM kv WHERE k >= ? ORDER BY k LIMIT ?"},
		{&c.put, "REPLACE INTO kv (k, v) VALUES (?, ?)"},
		{&c.begin, "BEGIN"},
		{&c.immediate, "BEGIN IMMEDIATE"},
		{&c.touch, "SELECT 1 FROM kv LIMIT 1"},
		{&c.commit, "COMMIT"},
		{&c.rollback, "ROLLBACK"},
	} {
		stmt, err := c.c.Prepare(p.sql)
		if err != nil {
			return nil, err
		}
		*p.to = stmt.(*sqlite3.SQLiteStmt)
	}
	for i := range c.args {
		c.args[i].Ordinal = i + 1
	}
	return c, nil
}

// close closes the statements with the connection.
func (c *conn) close() error {
	var errs []error
	for _, stmt := range []*sqlite3.SQLiteStmt{c.get, c.scan, c.put, c.begin, c.immediate, c.touch, c.commit, c.rollback} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(append(errs, c.c.Close())...)
}

// exec runs a statement with the first n of c.args.
func (c *conn) exec(stmt *sqlite3.SQLiteStmt, n int) error {
	_, err := stmt.ExecContext(context.Background(), c.args[:n])
	return err
}

// snapshot reads something, for BEGIN alone takes no snapshot. Close resets the statement, which would
// keep its snapshot after COMMIT otherwise.
func (c *conn) snapshot() error {
	rows, err := c.touch.QueryContext(context.Background(), nil)
	if err != nil {
		return err
	}
	return rows.Close()
}

// Put writes in the transaction that is open, or else as one of its own.
func (c *conn) Put(key, value []byte) error {
	c.args[0].Value, c.args[1].Value = blob(key), blob(value)
	return c.exec(c.put, 2)
}

// Get returns go-sqlite3's own copy of the value where it can.
func (c *conn) Get(key, dst []byte) ([]byte, error) {
	c.args[0].Value = blob(key)
	rows, err := c.get.QueryContext(context.Background(), c.args[:1])
	if err != nil {
		return dst, err
	}
	defer rows.Close()
	switch err := rows.Next(c.dest[:1]); {
	case err == io.EOF:
		return dst, engine.ErrNotFound
	case err != nil:
		return dst, err
	}
	v, _ := c.dest[0].([]byte)
	if len(dst) == 0 {
		return v, nil
	}
	return append(dst, v...), nil
}

func (c *conn) Scan(from []byte, limit int, each func(key, value []byte)) (int, error) {
	if limit == 0 {
		limit = -1 // all
	}
	c.args[0].Value, c.args[1].Value = blob(from), int64(limit)
	rows, err := c.scan.QueryContext(context.Background(), c.args[:2])
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for n := 0; ; n++ {
		switch err := rows.Next(c.dest[:2]); {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
		k, _ := c.dest[0].([]byte)
		v, _ := c.dest[1].([]byte)
		each(k, v)
	}
}

// blob makes nil an empty blob, which would be NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
