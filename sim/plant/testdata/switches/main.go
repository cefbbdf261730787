// Program switches says which planted bugs it has, and what Set answers for those in its arguments.
package main

import (
	"fmt"
	"os"

	"github.com/aegis-storage/aegis/sim/plant/active"
)

func main() {
	fmt.Println(active.Available(), len(active.Names()))
	for _, name := range os.Args[1:] {
		fmt.Println(name, active.Set(name), active.Is(name))
	}
}
