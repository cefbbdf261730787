package report

import (
	"strings"
	"unicode/utf8"
)

// table is rows of cells for a terminal. The first columns are aligned to the left, all others to
// the right.
type table struct {
	left int // how many columns are aligned to the left
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write appends the table, each line indented.
func (t *table) write(to *strings.Builder, indent string) {
	var width []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		line.WriteString(indent)
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				line.WriteString("  ")
			}
			if i < t.left {
				line.WriteString(cell + pad)
			} else {
				line.WriteString(pad + cell)
			}
		}
		to.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
