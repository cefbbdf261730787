// Package cli is what the commands of aegis have in common: how a command is described, run and
// explained, its exit code, its JSON and its progress. It is the only package that knows the command
// library.
//
// A [Command] is a group of further ones, or begins a [Work]. [App] is what a Work needs of its
// surroundings. [App.Main] runs a command line.
package cli
