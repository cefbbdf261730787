package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aegis-storage/aegis"
)

// Found is an error that says that something is not as it should be: the exit code is ExitFound.
type Found struct{ Err error }

func (e Found) Error() string { return e.Err.Error() }

// Unwrap returns the error inside.
func (e Found) Unwrap() error { return e.Err }

// judge returns the exit code of an error, and what is said about it: nothing where the reader of the
// output has gone, and of an interrupt that it was one, whatever the call it met says.
func (a *App) judge(ctx context.Context, err error) (code int, text string) {
	code, text = exitCode(ctx, err), err.Error()
	switch {
	case errors.Is(a.Out.Err(), syscall.EPIPE) && (code == ExitInterrupted || errors.Is(err, syscall.EPIPE)):
		return ExitPipe, ""
	case code == ExitInterrupted:
		text = strings.ReplaceAll(text, ctx.Err().Error(), "interrupted")
	}
	return code, text
}

// exitCode is the exit code of an error.
func exitCode(ctx context.Context, err error) int {
	var found Found
	var bad *aegis.CorruptionError
	switch {
	case errors.As(err, &found), errors.As(err, &bad):
		return ExitFound
	case errors.Is(err, aegis.ErrLocked):
		return ExitLocked
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return ExitInterrupted
	}
	return ExitUsage
}

// flagError says in the words of this program what the library complains about.
func (t *tree) flagError(x *cobra.Command, err error) error {
	path := x.CommandPath()
	c := t.of[x]
	if c != nil && c.Begin == nil {
		return fmt.Errorf("%s: flags come after a command: %s, help", path, strings.Join(t.names(x), ", "))
	}
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%s: %s", path, noFlag(x.Flags(), unknownName(err, unknown)))
	case errors.As(err, &missing):
		return fmt.Errorf("%s: flag needs an argument: --%s", path, missing.GetFlag().Name)
	case errors.As(err, &invalid):
		f := invalid.GetFlag()
		if f.Value.Type() == "bool" {
			return fmt.Errorf("%s: invalid boolean value %q for --%s: true or false", path, invalid.GetValue(), f.Name)
		}
		return fmt.Errorf("%s: invalid value %q for flag --%s: %s", path, invalid.GetValue(), f.Name, reason(invalid.Unwrap()))
	}
	return fmt.Errorf("%s: %w", path, err)
}

// unknownName is the word that was meant as a flag's name.
func unknownName(err error, unknown *pflag.NotExistError) string {
	if shorts := unknown.GetSpecifiedShortnames(); shorts != "" {
		name, _, _ := strings.Cut(shorts, "=")
		return name
	}
	return unknown.GetSpecifiedName()
}

func noFlag(f *Flags, name string) string {
	var names []string
	visible(f, func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	if len(names) == 0 {
		return fmt.Sprintf("there is no flag --%s: it takes none", name)
	}
	return fmt.Sprintf("there is no flag --%s, there are: %s", name, strings.Join(names, ", "))
}

// reason leaves out of an error of package strconv which function failed.
func reason(err error) string {
	if err == nil {
		return "it cannot be read"
	}
	text := err.Error()
	if strings.HasPrefix(text, "strconv.") {
		text = text[strings.LastIndex(text, ": ")+2:]
		if text == "invalid syntax" {
			text = "it has to be a number"
		}
	}
	return text
}
