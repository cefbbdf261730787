package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/run"
	"github.com/aegis-storage/aegis/bench/workload"
)

// What the growth mode goes through, unless it is told.
var (
	growthKeys    = []int{1e6, 3e6, 10e6, 30e6}
	growthValues  = []int{10, 100, 1000, 10_000, 100_000, 1 << 20}
	growthClients = []int{1, 4, 16, 64, 256}
)

// growthBytes is how much there is of all sizes of values, at most.
const growthBytes = 256 << 20

// chosen returns the engines and the points that the flags ask for.
func (f *flags) chosen(drivers []engine.Driver) ([]engine.Driver, []run.Point, error) {
	drivers, err := f.chosenEngines(drivers)
	if err != nil {
		return nil, nil, err
	}
	pattern, err := regexp.Compile(f.workloads)
	if err != nil {
		return nil, nil, fmt.Errorf("-workloads: %w", err)
	}
	points := f.points
	if f.growth {
		points = f.growthPoints
	}
	all, err := points()
	if err != nil {
		return nil, nil, err
	}
	all = slices.DeleteFunc(all, func(p run.Point) bool {
		return !pattern.MatchString(p.Workload.Name) ||
			!slices.ContainsFunc(drivers, p.Workload.Suits)
	})
	if len(all) == 0 {
		return nil, nil, errors.New("nothing to measure: no workload suits the flags (see -list)")
	}
	return drivers, all, nil
}

func (f *flags) chosenEngines(drivers []engine.Driver) ([]engine.Driver, error) {
	if f.engines == "" {
		return drivers, nil
	}
	var chosen []engine.Driver
	for name := range strings.SplitSeq(f.engines, ",") {
		i := slices.IndexFunc(drivers, func(d engine.Driver) bool { return strings.EqualFold(d.Name, strings.TrimSpace(name)) })
		if i < 0 {
			return nil, fmt.Errorf("-engines: no engine %q (see -list; RocksDB and LMDB need build tags)", name)
		}
		chosen = append(chosen, drivers[i])
	}
	return chosen, nil
}

// points are those of the table.
func (f *flags) points() ([]run.Point, error) {
	keys, err := one("keys", f.keys, 1)
	if err != nil {
		return nil, err
	}
	size, err := one("values", f.values, workload.LeastValueBytes)
	if err != nil {
		return nil, err
	}
	var only []int
	if f.clients != "" {
		if only, err = numbers("clients", f.clients, 1); err != nil {
			return nil, err
		}
	}
	var all []run.Point
	for _, w := range workload.All() {
		if w.Hidden || w.Growth {
			continue
		}
		clients := w.Clients
		if f.quick {
			clients = w.Quick
		}
		for _, n := range clients {
			if only == nil || slices.Contains(only, n) {
				all = append(all, run.Point{Workload: w, Clients: n, Keys: keys, ValueBytes: size})
			}
		}
	}
	return all, nil
}

// one parses a flag that may have several numbers only with -growth.
func one(name, list string, least int) (int, error) {
	all, err := numbers(name, list, least)
	if err == nil && len(all) > 1 {
		err = fmt.Errorf("-%s: several numbers need -growth", name)
	}
	if err != nil {
		return 0, err
	}
	return all[0], nil
}

// growthPoints are those of the curves: all, or those that are set by flags. A point that lies on
// two curves is measured once.
func (f *flags) growthPoints() ([]run.Point, error) {
	every := !f.given["keys"] && !f.given["values"] && !f.given["clients"]
	var all []run.Point
	add := func(keys, size int, clients func(workload.Workload) []int) {
		for _, w := range workload.All() {
			if !w.Growth {
				continue
			}
			for _, n := range clients(w) {
				all = append(all, run.Point{Workload: w, Clients: n, Keys: keys, ValueBytes: size})
			}
		}
	}
	const baseKeys, baseSize = 1e6, 100
	if every || f.given["keys"] {
		list, err := f.curve("keys", f.keys, growthKeys, 1)
		if err != nil {
			return nil, err
		}
		for _, keys := range list {
			add(keys, baseSize, unlessClients)
		}
	}
	if every || f.given["values"] {
		list, err := f.curve("values", f.values, growthValues, workload.LeastValueBytes)
		if err != nil {
			return nil, err
		}
		for _, size := range list {
			add(min(baseKeys, growthBytes/(workload.KeyBytes+size)), size, unlessClients)
		}
	}
	if every || f.given["clients"] {
		list, err := f.curve("clients", f.clients, growthClients, 1)
		if err != nil {
			return nil, err
		}
		add(baseKeys, baseSize, func(w workload.Workload) []int {
			if w.ByClients {
				return list
			}
			return nil
		})
	}
	return inOrder(all), nil
}

func (f *flags) curve(name, list string, usual []int, least int) ([]int, error) {
	if !f.given[name] {
		return usual, nil
	}
	return numbers(name, list, least)
}

// unlessClients returns a workload's clients on the curves over keys and sizes.
func unlessClients(w workload.Workload) []int { return w.Clients }

// inOrder sorts points of one size as their workloads are, for the last of them uses the store up,
// and leaves out what is there twice.
func inOrder(points []run.Point) []run.Point {
	type size struct{ keys, valueBytes int }
	var sizes []size
	for _, p := range points {
		if s := (size{p.Keys, p.ValueBytes}); !slices.Contains(sizes, s) {
			sizes = append(sizes, s)
		}
	}
	var names []string
	for _, w := range workload.All() {
		names = append(names, w.Name)
	}
	rank := func(p run.Point) [3]int {
		return [3]int{slices.Index(sizes, size{p.Keys, p.ValueBytes}), slices.Index(names, p.Workload.Name), p.Clients}
	}
	compare := func(a, b run.Point) int {
		x, y := rank(a), rank(b)
		return slices.Compare(x[:], y[:])
	}
	slices.SortStableFunc(points, compare)
	return slices.CompactFunc(points, func(a, b run.Point) bool { return compare(a, b) == 0 })
}
