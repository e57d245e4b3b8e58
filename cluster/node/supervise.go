package node

import (
	"net"
	"os"
	"syscall"
)

// supervisor is who the directive and the environment say watches over this process
// (process_supervised).
func supervisor(v *Values) string {
	auto := v.Supervised == SupervisedAuto
	switch {
	case os.Getenv("UPSTART_JOB") != "" && (auto || v.Supervised == SupervisedUpstart):
		return "upstart"
	case os.Getenv("NOTIFY_SOCKET") != "" && (auto || v.Supervised == SupervisedSystemd):
		return "systemd"
	}
	return "no"
}

// beSupervised tells a supervisor that the process has begun. Upstart waits for it to stop itself, and lets it go on.
func beSupervised(v *Values, log *Log) {
	switch by := supervisor(v); {
	case by == "upstart":
		log.Notice("Supervised by upstart, will stop to signal readiness.")
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // a signal to oneself always arrives
	case by == "systemd":
		log.Notice("Supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and TimeoutStopSec in your service unit.")
		notifySystemd(v, "STATUS=Sextant is loading...\n")
	case v.Supervised == SupervisedUpstart:
		log.Warning("Upstart supervision requested, but UPSTART_JOB not found!")
	case v.Supervised == SupervisedSystemd:
		log.Warning("Systemd supervision requested, but NOTIFY_SOCKET not found!")
	}
}

// notifySystemd tells systemd, if it supervises us, what we are about.
func notifySystemd(v *Values, state string) {
	if supervisor(v) != "systemd" {
		return
	}
	name := os.Getenv("NOTIFY_SOCKET")
	if c, err := net.Dial("unixgram", name); err == nil {
		_, _ = c.Write([]byte(state)) // a supervisor that went away needs no answer
		_ = c.Close()
	}
}

// readiness is what systemd is told once clients are served.
func readiness(v *Values) string {
	if v.ReplicaOf.Host != "" {
		return "STATUS=Ready to accept connections in read-only mode. Waiting for MASTER <-> REPLICA sync\nREADY=1\n"
	}
	return "STATUS=Ready to accept connections\nREADY=1\n"
}
