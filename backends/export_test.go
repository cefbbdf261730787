package backends

// RawFile lets the external tests put a shim under the files of a Local.
type RawFile = rawFile

// Intercept replaces the raw file under a File of Local.
func Intercept(f File, shim func(RawFile) RawFile) File {
	local := f.(*localFile)
	local.raw = shim(local.raw)
	return local
}

var (
	TryLock        = tryLock
	IsLockConflict = isLockConflict
)
