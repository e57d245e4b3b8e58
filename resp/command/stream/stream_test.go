package stream_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/stream"
	"github.com/sextantdb/sextant/store/value"
)

// setup makes the family and, for looking at what it did, the generic one.
func setup(s commandtest.Settings) [][]command.Command {
	no := func() bool { return false }
	limits := func() *value.Limits {
		l := value.DefaultLimits()
		s.Int("stream-node-max-entries", &l.StreamEntries)
		s.Int("stream-node-max-bytes", &l.StreamBytes)
		return &l
	}
	return [][]command.Command{
		stream.Commands(stream.Options{Limits: limits}),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

const laterInRedis70 = "7.0 makes a consumer only when there is something for it"

func TestAgainstRedis(t *testing.T) {
	known := map[string]string{
		"XADD seq 5-* a 1":                            "7.0 answers another error that comes to its mind",
		"XREADGROUP GROUP g a STREAMS s 0 1":          "7.0 names XREAD",
		"XREADGROUP GROUP g dave STREAMS s >":         laterInRedis70,
		"XREADGROUP GROUP g dave BLOCK 0 STREAMS s 0": laterInRedis70,
		"XREADGROUP GROUP g multi STREAMS s t > >":    laterInRedis70,
		"XREADGROUP GROUP g multi STREAMS s t 0 >":    laterInRedis70,
		"XCLAIM s g carol 0 9-9":                      laterInRedis70,
		"XAUTOCLAIM many g b 1000000 - COUNT 1":       laterInRedis70,
		"XAUTOCLAIM many g b 0 1-11 COUNT 3 JUSTID":   laterInRedis70,
	}
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	for _, file := range files {
		src, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(src)) {
			call := strings.TrimSpace(strings.TrimPrefix(line, "> "))
			if _, differs := known[call]; strings.HasPrefix(call, "XREADGROUP ") && !differs {
				known[call] = "~ 7.0 does not send XGROUP SETID without NOACK"
			}
		}
	}
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{
		"stream-node-max-entries": "stream-node-max-entries", "stream-node-max-bytes": "stream-node-max-bytes",
	}, known)
}
