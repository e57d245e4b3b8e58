package compat

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// The unit file in scripts is one that systemd takes without a word, and its command line serves
// and tells systemd when.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	const installed, conf = "/usr/local/bin/sextant", "/etc/sextant/redis.conf"
	text, err := os.ReadFile("../../scripts/sextant.service")
	require.NoError(t, err)
	_, line, found := strings.Cut(string(text), "\nExecStart=")
	require.True(t, found)
	line, _, _ = strings.Cut(line, "\n")
	require.Contains(t, line, installed+" server "+conf)
	require.Contains(t, string(text), "\nType=notify\n")

	t.Run("verify", func(t *testing.T) {
		analyze, err := exec.LookPath("systemd-analyze")
		if err != nil {
			t.Skip("systemd-analyze is not installed (scripts/test.sh installs systemd)")
		}
		file := filepath.Join(t.TempDir(), "sextant.service")
		verify := func(unit string) string {
			require.NoError(t, os.WriteFile(file, []byte(unit), 0o644))
			out, err := exec.Command(analyze, "verify", file).CombinedOutput()
			require.NoError(t, err, "%s", out)
			return string(out)
		}
		here := strings.ReplaceAll(string(text), installed, binary)
		require.Empty(t, verify(here))
		require.Contains(t, verify(strings.Replace(here, "Type=", "Tipe=", 1)), "Unknown key", "it would tell")
	})

	t.Run("command line", func(t *testing.T) {
		port := proc.FreePort(t)
		file := configFile(t, "redis.conf", "bind 127.0.0.1", "port "+strconv.Itoa(port), "dir "+t.TempDir(), "daemonize yes", "supervised no")
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
		require.NoError(t, err)
		defer socket.Close()
		s := prepare(t, "sextant", port, strings.Fields(strings.NewReplacer(installed, binary, conf, file).Replace(line))...)
		s.Env = []string{"NOTIFY_SOCKET=" + socket.LocalAddr().String()}
		s.start()
		told := ""
		require.NoError(t, socket.SetReadDeadline(time.Now().Add(patience)))
		until := func(want string) {
			for b := make([]byte, 1000); !strings.Contains(told, want); {
				n, err := socket.Read(b)
				require.NoError(t, err, "told so far: %s", told)
				told += string(b[:n])
			}
		}
		until("READY=1\n")
		require.Equal(t, "systemd", s.info("server")["process_supervised"])
		s.stop()
		until("STOPPING=1\n")
	})
}
