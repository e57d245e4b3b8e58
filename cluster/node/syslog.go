package node

import (
	"log/syslog"
	"sync"

	"go.uber.org/zap/zapcore"
)

// syslogCore is a zapcore.Core that sends lines to the system's logger, as syslog-enabled asks
// for, beside the log itself. A logger that is not there is tried again with the next line.
type syslogCore struct {
	zapcore.LevelEnabler // the log's own level
	dial                 func() (*syslog.Writer, error)

	mu sync.Mutex
	w  *syslog.Writer // nil until the logger has answered; guarded by mu
}

// syslogFacilities are the values of the directive syslog-facility.
var syslogFacilities = [...]syslog.Priority{
	syslog.LOG_USER, syslog.LOG_LOCAL0, syslog.LOG_LOCAL1, syslog.LOG_LOCAL2, syslog.LOG_LOCAL3,
	syslog.LOG_LOCAL4, syslog.LOG_LOCAL5, syslog.LOG_LOCAL6, syslog.LOG_LOCAL7,
}

// newSyslog reaches the logger at a unix socket, or where the machine has it when network is "".
func newSyslog(v *Values, level zapcore.LevelEnabler, network, path string) *syslogCore {
	facility, ident := syslogFacilities[v.SyslogFacility], v.SyslogIdent
	return &syslogCore{LevelEnabler: level, dial: func() (*syslog.Writer, error) { return syslog.Dial(network, path, facility, ident) }}
}

func (c *syslogCore) With([]zapcore.Field) zapcore.Core { return c }

func (c *syslogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *syslogCore) Sync() error { return nil }

func (c *syslogCore) Write(e zapcore.Entry, _ []zapcore.Field) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.w == nil {
		w, err := c.dial()
		if err != nil {
			return nil // the log itself has the line; syslog(3) is as silent
		}
		c.w = w
	}
	switch levelSign(e.Level) {
	case '.':
		return c.w.Debug(e.Message)
	case '-':
		return c.w.Info(e.Message)
	case '*':
		return c.w.Notice(e.Message)
	}
	return c.w.Warning(e.Message)
}
