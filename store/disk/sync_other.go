//go:build !linux

package disk

import "os"

func Datasync(f *os.File) error { return f.Sync() }
