//go:build race

package pages

// stride thins out exhaustive loops that have no concurrency in them.
const stride = 13
