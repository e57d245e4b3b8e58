package proc

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that a test starts, and starts again as often as it likes. It ends with the test, or with the test's
// process, however that ends.
type Process struct {
	// Argv are the program and its arguments, Env what stands beside this process' own environment. They hold from the next
	// Start on.
	Argv, Env []string
	// Out is what it has printed on both outputs since its last start. Err, if not nil, takes the standard error's part.
	Out, Err *Output
	// Stdin is its standard input; nil is an empty one.
	Stdin io.Reader

	t     testing.TB
	cmd   *exec.Cmd     // nil before the first Start
	ended chan struct{} // closed when it has ended
}

// Prepare describes a process and does not start it yet. A test that failed shows the end of what it printed.
func Prepare(t testing.TB, argv ...string) *Process {
	p := &Process{t: t, Argv: argv, Out: new(Output)}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() && p.cmd != nil {
			t.Logf("the end of what %v printed:\n%s%s", p.Argv, Tail(p.Out.String(), 40), Tail(p.errors(), 40))
		}
	})
	return p
}

func (p *Process) errors() string {
	if p.Err == nil {
		return ""
	}
	return "\nstandard error:\n" + p.Err.String()
}

// Start starts it. REQUIRES: it does not run.
func (p *Process) Start() {
	p.t.Helper()
	p.Out = new(Output)
	p.cmd, p.ended = exec.Command(p.Argv[0], p.Argv[1:]...), make(chan struct{})
	p.cmd.Env = append(os.Environ(), p.Env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.Stdin, p.Out, p.Out
	p.cmd.WaitDelay = 10 * time.Second // a child of its own may live on and keep the outputs open
	if p.Err != nil {
		p.Err = new(Output)
		p.cmd.Stderr = p.Err
	}
	if err := Start(p.cmd); err != nil {
		p.t.Fatal(err)
	}
	cmd, ended := p.cmd, p.ended
	go func() {
		_ = cmd.Wait() // how it ended is told by ProcessState
		close(ended)
	}()
}

// Serve is Start that returns once the process answers as ok wants, which is asked again and again.
func (p *Process) Serve(limit time.Duration, ok func() bool) {
	p.t.Helper()
	p.Start()
	end := time.Now().Add(limit)
	for !ok() {
		if p.HasEnded() {
			p.t.Fatalf("%v ended at its start", p.Argv) // Prepare shows what it said
		}
		if time.Now().After(end) {
			p.t.Fatalf("%v does not answer within %v", p.Argv, limit)
		}
		time.Sleep(5 * time.Millisecond) // another process gives no event to wait for
	}
}

// Listens reports whether somebody takes connections at an address.
func Listens(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// PID is its number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed once it has ended. It is the present run's.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// HasEnded reports whether it has.
func (p *Process) HasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Signal sends a signal, if it runs.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Stopped reports whether a signal has stopped the process and nobody woke it.
func (p *Process) Stopped() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	return err == nil && strings.Contains(string(stat), ") T ")
}

// Freeze stops the process and returns when it is: until then it goes on answering.
func (p *Process) Freeze() {
	p.Signal(syscall.SIGSTOP)
	for !p.Stopped() && !p.HasEnded() {
		runtime.Gosched()
	}
}

// Code waits until it has ended by itself and returns its exit code.
func (p *Process) Code(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.t.Fatalf("%v does not end within %v", p.Argv, limit)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Kill is kill -9, also of a process that was stopped by a signal; it waits for the end.
func (p *Process) Kill() {
	if p.cmd != nil {
		p.Signal(syscall.SIGKILL)
		<-p.ended
	}
}

// starts is where Start's calls are made.
var starts = struct {
	sync.Once
	calls chan func()
}{calls: make(chan func())}

// Start is cmd.Start of a process that does not outlive this one, on Linux. The kernel ends it with the thread that started it,
// so one thread starts them all, and stays.
func Start(cmd *exec.Cmd) error {
	starts.Do(func() {
		go func() {
			runtime.LockOSThread()
			for call := range starts.calls {
				call()
			}
		}()
	})
	diesWithUs(cmd)
	done := make(chan error, 1)
	starts.calls <- func() { done <- cmd.Start() }
	return <-done
}

// MainWithSextant is TestMain for tests of the built program: it builds it once, says where, and runs the tests.
func MainWithSextant(m *testing.M, binary *string) {
	dir, err := os.MkdirTemp("", "sextant-test-")
	if err != nil {
		panic(err)
	}
	*binary = filepath.Join(dir, "sextant")
	build := exec.Command("go", "build", "-o", *binary, "github.com/sextantdb/sextant/cmd/sextant")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Redis is the redis-server of this machine. A test that needs it is skipped without.
func Redis(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed; scripts/test.sh installs it")
	}
	return program
}
