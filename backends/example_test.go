package backends_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/aegis-storage/aegis/backends"
)

func ExampleNewMemory() {
	m := backends.NewMemory()
	f, err := m.Create("greeting")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("hello"), 0); err != nil {
		fmt.Println(err)
		return
	}
	infos, err := m.List()
	fmt.Println(infos, err)
	// Output: [{greeting 5}] <nil>
}

func ExampleNewLocal() {
	parent, err := os.MkdirTemp("", "aegis")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(parent)
	l, err := backends.NewLocal(filepath.Join(parent, "store"), false)
	if err != nil {
		fmt.Println(err)
		return
	}
	release, err := l.Lock(true)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	f, err := l.Create("data")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = f.WriteAt([]byte("durable"), 0)
	// The file's Sync keeps its contents, SyncDir keeps its name.
	fmt.Println(errors.Join(err, f.Sync(), f.Close(), l.SyncDir()))
	_, err = l.Lock(true)
	fmt.Println(errors.Is(err, backends.ErrLocked))
	// Output:
	// <nil>
	// true
}

// A store on a Limited gets ErrNoSpace at the limit, and goes on when the limit is raised.
func ExampleLimit() {
	l := backends.Limit(backends.NewMemory(), 1000)
	f, err := l.Create("data")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	_, err = f.WriteAt(make([]byte, 1001), 0)
	fmt.Println(errors.Is(err, backends.ErrNoSpace))
	l.SetLimit(2000)
	_, err = f.WriteAt(make([]byte, 1001), 0)
	fmt.Println(err)
	used, limit, err := l.Usage()
	fmt.Println(used, limit, err)
	// Output:
	// true
	// <nil>
	// 1001 2000 <nil>
}

func ExampleCheckName() {
	fmt.Println(backends.CheckName("table-0000000000000001"))
	err := backends.CheckName("../elsewhere")
	fmt.Println(err, errors.Is(err, fs.ErrInvalid))
	// Output:
	// <nil>
	// backends: byte '/' in file name "../elsewhere": invalid argument true
}
