package disk_test

import (
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/sim/disk"
)

// calm is a World in which no fault strikes and nobody else runs.
type calm struct{}

func (calm) Begin(disk.Op)                       {}
func (calm) End(disk.Op)                         {}
func (calm) Draw(int) int                        { return 0 }
func (calm) Strike(disk.Class, int, string) bool { return false }
func (calm) Delay(disk.Op, time.Duration)        {}

func Example() {
	p, _ := disk.ProfileNamed("sector")
	d := disk.New(p)
	b := d.Mount(calm{})
	f, err := b.Create("journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	f.WriteAt([]byte("one two "), 0)
	fmt.Println(f.Sync(), b.SyncDir())
	f.WriteAt([]byte("three"), 8)

	// What may a power cut leave now?
	n, exact := d.States(10)
	fmt.Println(n, exact)
	for i := range n {
		after := d.Clone()
		loss, _ := after.PowerCutNth(i)
		fmt.Println(loss, after.Files()[0].Size)
	}
	// Output:
	// <nil> <nil>
	// 2 true
	// journal: 0 bytes kept, 5 dropped, size 8 of 13 8
	// journal: 5 bytes kept, 0 dropped 13
}
