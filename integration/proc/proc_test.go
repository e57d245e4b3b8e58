package proc

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// As a child of TestAProcessEndsWithTheOneThatStartedIt this is the one that starts a process and is killed.
func TestMain(m *testing.M) {
	if os.Getenv("PROC_TEST_STARTER") != "" {
		cmd := exec.Command("sleep", "1000")
		if err := Start(cmd); err != nil {
			panic(err)
		}
		fmt.Println(cmd.Process.Pid)
		select {}
	}
	os.Exit(m.Run())
}

func TestAProcessEndsWithTheOneThatStartedIt(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("only Linux promises it")
	}
	starter := exec.Command(os.Args[0])
	starter.Env = append(os.Environ(), "PROC_TEST_STARTER=1")
	out, err := starter.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, starter.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(line[:len(line)-1])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0), "it runs")
	require.NoError(t, starter.Process.Kill())
	_ = starter.Wait() // killed
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil || zombie(pid) }, time.Minute, time.Millisecond)
}

// zombie reports whether a process has ended, and nobody has asked how.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	var id int
	var name, state string
	_, _ = fmt.Sscan(string(b), &id, &name, &state)
	return err != nil || state == "Z"
}

func TestAProcessIsStartedStoppedAndStartedAgain(t *testing.T) {
	p := Prepare(t, "sh", "-c", "echo $WORD; read line; exit 3")
	p.Env = []string{"WORD=ready"}
	p.Err = new(Output)
	p.Start()
	require.Equal(t, 3, p.Code(time.Minute), "its input is empty")
	require.Equal(t, "ready\n", p.Out.String())
	p.Argv = []string{"sh", "-c", "echo $WORD; exec sleep 1000"}
	p.Serve(time.Minute, func() bool { return p.Out.String() == "ready\n" })
	require.False(t, p.HasEnded())
	p.Freeze()
	p.Kill()
	p.Kill()
	require.True(t, p.HasEnded())
}

func TestARoadIsCut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() { // an echo
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				b := make([]byte, 1)
				for _, err := c.Read(b); err == nil; _, err = c.Read(b) {
					_, _ = c.Write(b)
				}
				_ = c.Close()
			}()
		}
	}()
	r := NewRoad(t, l.Addr().String())
	dial := func() net.Conn {
		c, err := net.Dial("tcp", r.Addr())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
		return c
	}
	through := func(c net.Conn) bool {
		b := []byte{'x'}
		if _, err := c.Write(b); err != nil {
			return false
		}
		_, err := c.Read(b)
		return err == nil
	}
	c := dial()
	require.True(t, through(c))
	r.Cut()
	require.False(t, through(c))
	require.True(t, through(dial()))
	r.Close()
	require.False(t, through(dial()))
	r.Open()
	require.True(t, through(dial()))
}
