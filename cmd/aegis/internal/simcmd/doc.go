// Package simcmd has the commands below aegis sim: they run the simulator, replay and shrink what it
// found, and say what it can simulate.
package simcmd
