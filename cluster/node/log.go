package node

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// Levels of the log in zap's scale, lowest first. Redis has four; zap's Debug stands for verbose.
const (
	levelDebug   = zapcore.DebugLevel - 1
	levelVerbose = zapcore.DebugLevel
	levelNotice  = zapcore.InfoLevel
	levelWarning = zapcore.WarnLevel
	levelNothing = zapcore.FatalLevel + 1
)

// logLevel translates the directive loglevel.
func logLevel(name string) zapcore.Level {
	switch name {
	case "debug":
		return levelDebug
	case "verbose":
		return levelVerbose
	case "warning":
		return levelWarning
	case "nothing":
		return levelNothing
	}
	return levelNotice
}

// Log is the node's log: lines as Redis writes them, or JSON. Packages below emit typed
// events; node's listeners turn them into calls here. All methods may be called from any
// goroutine.
type Log struct {
	z     *zap.Logger // replaced by AlsoTo before the log is shared
	level zap.AtomicLevel
	core  *lineCore
}

// lineCore is a zapcore.Core that writes "pid:role date level text".
type lineCore struct {
	zapcore.LevelEnabler
	fields []zapcore.Field // of With; immutable
	out    *logFile
	role   *atomic.Int32 // the letter of the node's role: M, S, C (child) or X (sentinel)
}

// logFile is the log's target: standard output, or a file that is opened anew for every line
// burst, so that logrotate may move it away.
type logFile struct {
	mu   sync.Mutex
	name string    // "" is standard output; guarded by mu
	std  io.Writer // standard output; immutable
	// crashes says that Go is to write into the log why the process crashes; crashInto is the file
	// it has been given, which changes when the log is rotated. Both are guarded by mu.
	crashes   bool
	crashInto os.FileInfo
}

func (f *logFile) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.name == "" {
		return f.std.Write(b)
	}
	file, err := os.OpenFile(f.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, fmt.Errorf("open log file: %w", err)
	}
	defer file.Close()
	if f.crashes {
		f.takeCrashes(file)
	}
	return file.Write(b)
}

// takeCrashes has Go write a crash into file too, beside standard error. REQUIRES: mu.
func (f *logFile) takeCrashes(file *os.File) {
	info, err := file.Stat()
	if err != nil || f.crashInto != nil && os.SameFile(info, f.crashInto) {
		return
	}
	if debug.SetCrashOutput(file, debug.CrashOptions{}) == nil { // which duplicates the descriptor
		f.crashInto = info
	}
}

func (f *logFile) Sync() error { return nil }

// NewLog returns a log on std, or into file when that is not empty.
func NewLog(std io.Writer, file, level string, json bool) *Log {
	l := &Log{level: zap.NewAtomicLevelAt(logLevel(level))}
	out := &logFile{name: file, std: std}
	l.core = &lineCore{LevelEnabler: l.level, out: out, role: new(atomic.Int32)}
	l.core.role.Store('M')
	var core zapcore.Core = l.core
	if json {
		enc := zapcore.EncoderConfig{
			TimeKey: "ts", LevelKey: "level", MessageKey: "msg", EncodeTime: zapcore.ISO8601TimeEncoder,
			EncodeLevel:    func(v zapcore.Level, e zapcore.PrimitiveArrayEncoder) { e.AppendString(levelWord(v)) },
			EncodeDuration: zapcore.MillisDurationEncoder,
		}
		core = zapcore.NewCore(zapcore.NewJSONEncoder(enc), out, l.level).With([]zapcore.Field{zap.Int("pid", os.Getpid())})
	}
	l.z = zap.New(core)
	return l
}

// Check reports whether the log can be written, before the node starts.
func (l *Log) Check() error {
	f := l.core.out
	if f.name == "" {
		return nil
	}
	file, err := os.OpenFile(f.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("Can't open the log file: %s", reason(err))
	}
	return file.Close()
}

// KeepCrashes says whether the reason of a crash, with its stacks, is written into the log file
// too, from the next line on: a daemon's standard error is read by nobody.
func (l *Log) KeepCrashes(on bool) {
	f := l.core.out
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashes = on && f.name != ""
	if !f.crashes && f.crashInto != nil {
		_ = debug.SetCrashOutput(nil, debug.CrashOptions{}) // only undoes what was done
		f.crashInto = nil
	}
}

// AlsoTo sends every line to another core too. REQUIRES: nobody uses the log yet.
func (l *Log) AlsoTo(other zapcore.Core) { l.z = zap.New(zapcore.NewTee(l.z.Core(), other)) }

// onTerminal reports whether a person reads the log.
func (l *Log) onTerminal() bool {
	f, ok := l.core.out.std.(*os.File)
	return l.core.out.name == "" && ok && term.IsTerminal(int(f.Fd()))
}

// SetLevel changes the directive loglevel.
func (l *Log) SetLevel(name string) { l.level.SetLevel(logLevel(name)) }

// SetReplica changes the role letter.
func (l *Log) SetReplica(on bool) {
	letter := int32('M')
	if on {
		letter = 'S'
	}
	l.core.role.Store(letter)
}

func (l *Log) Debug(format string, a ...any)   { l.log(levelDebug, format, a) }
func (l *Log) Verbose(format string, a ...any) { l.log(levelVerbose, format, a) }
func (l *Log) Notice(format string, a ...any)  { l.log(levelNotice, format, a) }
func (l *Log) Warning(format string, a ...any) { l.log(levelWarning, format, a) }

func (l *Log) log(level zapcore.Level, format string, a []any) {
	if !l.level.Enabled(level) {
		return
	}
	text := format
	if len(a) > 0 {
		text = fmt.Sprintf(format, a...)
	}
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		l.z.Log(level, line)
	}
}

// Raw writes text as it stands, without level or time: the banner.
func (l *Log) Raw(text string) { _, _ = l.core.out.Write([]byte(text)) }

func (c *lineCore) With(f []zapcore.Field) zapcore.Core {
	next := *c
	next.fields = append(append([]zapcore.Field{}, c.fields...), f...)
	return &next
}

func (c *lineCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *lineCore) Sync() error { return c.out.Sync() }

func (c *lineCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	b := make([]byte, 0, 64+len(e.Message))
	b = strconv.AppendInt(b, int64(os.Getpid()), 10)
	b = append(b, ':', byte(c.role.Load()), ' ')
	b = e.Time.AppendFormat(b, "02 Jan 2006 15:04:05.000")
	b = append(b, ' ', levelSign(e.Level), ' ')
	b = append(b, e.Message...)
	if all := append(append([]zapcore.Field{}, c.fields...), fields...); len(all) > 0 {
		enc := zapcore.NewMapObjectEncoder()
		for _, f := range all {
			f.AddTo(enc)
			b = fmt.Appendf(b, " %s=%v", f.Key, enc.Fields[f.Key])
		}
	}
	b = append(b, '\n')
	_, err := c.out.Write(b)
	return err
}

func levelSign(v zapcore.Level) byte {
	switch {
	case v <= levelDebug:
		return '.'
	case v == levelVerbose:
		return '-'
	case v == levelNotice:
		return '*'
	}
	return '#'
}

func levelWord(v zapcore.Level) string {
	return map[byte]string{'.': "debug", '-': "verbose", '*': "notice", '#': "warning"}[levelSign(v)]
}

// banner is printed at start. Tools look for " PID: " in it.
func banner(version, mode string, port, pid int) string {
	return fmt.Sprintf(`
       N
       |          Sextant %s, speaks Redis %s
   W --+-- E      Mode: %s
      /|\         Port: %d
     / S \        PID: %d

`, version, redisVersion, mode, port, pid)
}
