// Simbackend shows how the author of a Backend tests it: by the conformance suite, and by a store
// that runs on it in the simulator, through crashes and power cuts.
//
// To see that these checks can fail, the Backend here has faults that are switched on one by one.
// The program prints a table: each fault, which check caught it, and in what words.
//
//	go test ./examples/simbackend                       the tests, as your own Backend would have them
//	go run ./examples/simbackend                        the table
//	go run ./examples/simbackend -fault write-short     all that the suite says of one fault
//
// backend.go is a frame for a Backend of your own, with the faults in the places where they would
// be made; faults.go lists them; check.go are the two checks.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("simbackend: ")
	name := flag.String("fault", "", "tell all about this fault only")
	seeds := flag.Int("seeds", 300, "runs of the store on each Backend")
	flag.Parse()
	if err := run(os.Stdout, *name, *seeds); err != nil {
		log.Fatal(err)
	}
}

// run prints the table, or what is found about one fault.
func run(w io.Writer, name string, seeds int) error {
	known := name == ""
	for f := range faults {
		if name != "" && table[f].name != name {
			continue
		}
		known = true
		found := conform(f)
		store, err := simulate(f, seeds)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-18s  %s\n", table[f].name, table[f].does)
		if name == "" {
			found, store.says = chosen(f, found), shorten(store.says)
		}
		if store.check != "" {
			found = append(found, store)
		}
		tell(w, found)
	}
	if !known {
		return fmt.Errorf("there is no fault %q; run without -fault for a list", name)
	}
	return nil
}

// chosen is the finding of the case that is there for a fault, shortened to a line.
func chosen(f fault, found []finding) []finding {
	for _, x := range found {
		if x.check == table[f].found {
			return []finding{{x.check, shorten(x.says)}}
		}
	}
	return nil
}

func shorten(text string) string {
	const most = 220
	text = strings.ReplaceAll(text, "\n", "; ")
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// tell prints which checks caught a fault, and what they say.
func tell(w io.Writer, found []finding) {
	if len(found) == 0 {
		fmt.Fprintf(w, "    nothing found\n")
	}
	for _, x := range found {
		fmt.Fprintf(w, "    by %s: %s\n", x.check, x.says)
	}
	fmt.Fprintln(w)
}
