// Package active is the switch of the planted bugs. This is the package of ordinary builds, which
// have no bugs; a planted build (see sim/plant) replaces it by one that has their names.
//
// It decides nothing, and knows of the engine only the names of its bugs.
package active
