//go:build !race

package pages

const stride = 1
