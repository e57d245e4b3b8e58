package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/observe"
)

// directive is one entry of the table.
type directive struct {
	name, alias, doc string
	flags            directiveFlags
	// initial sets the default.
	initial func(*Values)
	// set reads the words behind the name. The error is Redis' reason.
	set func(v *Values, words []string, in setting) error
	// get renders the value as CONFIG GET shows it.
	get func(*Values) string
	// lines renders the value as redis.conf lines without the name; none when the value is
	// best said by saying nothing. force is set for lines that must stand in a rewritten file
	// even though it had none before; nil leaves both to get and the default.
	lines func(*Values) (lines []string, force bool)
}

// directiveFlags say how a directive may be changed and shown.
type directiveFlags uint16

const (
	mutable     directiveFlags = 1 << iota // CONFIG SET may change it
	fixed                                  // it may not
	multi                                  // takes several words
	hidden                                 // CONFIG GET shows it only under its exact name
	secret                                 // its value is kept out of the slow log and MONITOR
	protected                              // changed at run time only as enable-protected-configs allows
	denyLoading                            // not changed while the data set is being loaded
	volatile                               // setting the same value runs the hook too (a file that was replaced)
	unlisted                               // as hidden, but documented: ours and fixed, and tools set all that CONFIG GET * lists
	inert                                  // accepted for the sake of old files, without an effect here; doc says why
)

// setting is where a value is being read.
type setting struct {
	cwd     string     // relative paths are relative to it
	reading *fileState // not nil while configuration files are read, nil in CONFIG SET
}

// fileState is what reading a file must remember between lines.
type fileState struct {
	savesSeen bool // the first save line drops the default points, later ones add
	depth     int  // of includes
}

func flag(name, alias string, initial bool, f directiveFlags, at func(*Values) *bool, doc string) *directive {
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = initial },
		get: func(v *Values) string {
			if *at(v) {
				return "yes"
			}
			return "no"
		},
		set: func(v *Values, words []string, _ setting) error {
			switch strings.ToLower(words[0]) {
			case "yes":
				*at(v) = true
			case "no":
				*at(v) = false
			default:
				return errors.New("argument must be 'yes' or 'no'")
			}
			return nil
		},
	}
}

// notation is how an integer is written.
type notation uint8

const (
	number notation = iota
	memory
	memoryOrPercent // per cent are kept as negative numbers
	octal
)

func integer(name, alias string, as notation, low, high, initial int64, f directiveFlags, at func(*Values) *int64, doc string) *directive {
	d := &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = initial },
		get:     func(v *Values) string { return as.format(*at(v)) },
		set: func(v *Values, words []string, _ setting) error {
			n, err := as.parse(words[0])
			if err != nil {
				return err
			}
			switch {
			case as == memoryOrPercent && n < low:
				return fmt.Errorf("percentage argument must be less or equal to %d", -low)
			case as == octal && (n < low || n > high):
				return fmt.Errorf("argument must be between %o and %o inclusive", low, high)
			case n < low || n > high:
				return fmt.Errorf("argument must be between %d and %d inclusive", low, high)
			}
			*at(v) = n
			return nil
		},
	}
	if as == memory || as == memoryOrPercent {
		d.lines = func(v *Values) ([]string, bool) {
			n := *at(v)
			if n < 0 {
				return []string{as.format(n)}, n != initial
			}
			return []string{formatMemory(n)}, n != initial
		}
	}
	return d
}

func (as notation) parse(s string) (int64, error) {
	switch as {
	case memory, memoryOrPercent:
		if n, ok := parseMemory(s); ok {
			return n, nil
		}
		if as == memory {
			return 0, errors.New("argument must be a memory value")
		}
		if digits, ok := strings.CutSuffix(s, "%"); ok {
			if n, ok := strictInt(digits); ok && n >= 0 {
				return -n, nil
			}
		}
		return 0, errors.New("argument must be a memory or percent value")
	case octal:
		n, err := strconv.ParseInt(s, 8, 64)
		if err != nil {
			return 0, errors.New("argument couldn't be parsed as an octal number")
		}
		return n, nil
	}
	n, ok := strictInt(s)
	if !ok {
		return 0, errors.New("argument couldn't be parsed into an integer")
	}
	return n, nil
}

func (as notation) format(n int64) string {
	switch {
	case as == memoryOrPercent && n < 0:
		return strconv.FormatInt(-n, 10) + "%"
	case as == octal:
		return strconv.FormatInt(n, 8)
	}
	return strconv.FormatInt(n, 10)
}

func text(name, alias, initial string, f directiveFlags, valid func(string) error, at func(*Values) *string, doc string) *directive {
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = initial },
		get:     func(v *Values) string { return *at(v) },
		set: func(v *Values, words []string, _ setting) error {
			if valid != nil {
				if err := valid(words[0]); err != nil {
					return err
				}
			}
			*at(v) = words[0]
			return nil
		},
		lines: func(v *Values) ([]string, bool) {
			if *at(v) == "" && initial == "" {
				return nil, false
			}
			return []string{quote(*at(v))}, *at(v) != initial
		},
	}
}

func quote(s string) string { return string(observe.AppendQuoted(nil, []byte(s))) }

func choice[T ~uint8](name, alias string, names []named[T], initial string, f directiveFlags, at func(*Values) *T, doc string) *directive {
	d := &directive{name: name, alias: alias, doc: doc, flags: f}
	d.set = func(v *Values, words []string, _ setting) error {
		for _, n := range names {
			if strings.EqualFold(n.name, words[0]) {
				*at(v) = n.value
				return nil
			}
		}
		return notOneOf(names)
	}
	d.get = func(v *Values) string { return nameOf(names, *at(v)) }
	d.initial = func(v *Values) {
		if err := d.set(v, []string{initial}, setting{}); err != nil {
			panic("config: default of " + name + ": " + err.Error())
		}
	}
	return d
}

func nameOf[T comparable](names []named[T], value T) string {
	for _, n := range names {
		if n.value == value {
			return n.name
		}
	}
	return "unknown"
}

func notOneOf[T any](names []named[T]) error {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = n.name
	}
	return errors.New("argument(s) must be one of the following: " + strings.Join(all, ", "))
}

var errWrongWords = errors.New("wrong number of arguments")

func shutdownDirective(name, alias string, f directiveFlags, at func(*Values) *ShutdownFlags, doc string) *directive {
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = 0 },
		get: func(v *Values) string {
			if *at(v) == 0 {
				return "default"
			}
			var words []string
			for _, n := range shutdownNames {
				if n.value&*at(v) != 0 {
					words = append(words, n.name)
				}
			}
			return strings.Join(words, " ")
		},
		set: func(v *Values, words []string, _ setting) error {
			var sum ShutdownFlags
			for _, w := range words {
				i := slices.IndexFunc(shutdownNames, func(n named[ShutdownFlags]) bool { return strings.EqualFold(n.name, w) })
				if i < 0 {
					return notOneOf(shutdownNames)
				}
				sum |= shutdownNames[i].value
			}
			if len(words) == 0 {
				return notOneOf(shutdownNames)
			}
			if sum&ShutdownSave != 0 && sum&ShutdownNoSave != 0 {
				return errors.New("shutdown options SAVE and NOSAVE can't be used simultaneously")
			}
			*at(v) = sum
			return nil
		},
	}
}

// maxBindAddresses is Redis' bound on the addresses of bind.
const maxBindAddresses = 16

func bindDirective(name, alias string, f directiveFlags, at func(*Values) *[]string, doc string) *directive {
	initial := []string{"*", "-::*"}
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = initial },
		get:     func(v *Values) string { return strings.Join(*at(v), " ") },
		set: func(v *Values, words []string, _ setting) error {
			if len(words) > maxBindAddresses {
				return errors.New("Too many bind addresses specified.")
			}
			if len(words) == 1 && words[0] == "" {
				words = nil
			}
			*at(v) = slices.Clone(words)
			return nil
		},
		lines: func(v *Values) ([]string, bool) {
			switch addresses := *at(v); {
			case slices.Equal(addresses, initial):
				return nil, false
			case len(addresses) == 0:
				return []string{`""`}, true
			default:
				return []string{strings.Join(addresses, " ")}, true
			}
		},
	}
}

func outputLimitDirective(name, alias string, f directiveFlags, at func(*Values) *OutputLimits, doc string) *directive {
	line := func(class string, l OutputLimit, mem func(int64) string) string {
		return fmt.Sprintf("%s %s %s %d", class, mem(l.HardBytes), mem(l.SoftBytes), l.SoftSeconds)
	}
	plain := func(n int64) string { return strconv.FormatInt(n, 10) }
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = defaultOutputLimits() },
		get: func(v *Values) string {
			l := at(v)
			return line("normal", l.Normal, plain) + " " + line("slave", l.Replica, plain) + " " + line("pubsub", l.Pubsub, plain)
		},
		set: func(v *Values, words []string, _ setting) error {
			if len(words)%4 != 0 {
				return errors.New("Wrong number of arguments in buffer limit configuration.")
			}
			next := *at(v)
			for ; len(words) > 0; words = words[4:] {
				class := next.class(words[0])
				if class == nil {
					return errors.New("Invalid client class specified in buffer limit configuration.")
				}
				hard, ok1 := parseMemory(words[1])
				soft, ok2 := parseMemory(words[2])
				seconds, err := strconv.ParseInt(words[3], 10, 64)
				if !ok1 || !ok2 || err != nil || seconds < 0 {
					return errors.New("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
				}
				*class = OutputLimit{hard, soft, seconds}
			}
			*at(v) = next
			return nil
		},
		lines: func(v *Values) ([]string, bool) {
			l := at(v)
			return []string{
				line("normal", l.Normal, formatMemory), line("replica", l.Replica, formatMemory), line("pubsub", l.Pubsub, formatMemory),
			}, *l != defaultOutputLimits()
		},
	}
}

func oomDirective(name, alias string, f directiveFlags, at func(*Values) *[3]int, doc string) *directive {
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = [3]int{0, 200, 800} },
		get:     func(v *Values) string { a := at(v); return fmt.Sprintf("%d %d %d", a[0], a[1], a[2]) },
		set: func(v *Values, words []string, _ setting) error {
			var next [3]int
			if len(words) != len(next) {
				return errWrongWords
			}
			for i, w := range words {
				n, err := strconv.Atoi(w)
				if err != nil || n < -2000 || n > 2000 {
					return errors.New("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
				}
				next[i] = n
			}
			*at(v) = next
			return nil
		},
	}
}

func notifyDirective(name, alias string, f directiveFlags, at func(*Values) *command.EventClass, doc string) *directive {
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = 0 },
		get:     func(v *Values) string { return formatEvents(*at(v)) },
		set: func(v *Values, words []string, _ setting) error {
			classes, ok := parseEvents(words[0])
			if !ok {
				return errors.New("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
			}
			*at(v) = classes
			return nil
		},
		lines: func(v *Values) ([]string, bool) { return []string{quote(formatEvents(*at(v)))}, *at(v) != 0 },
	}
}

func percentileDirective(name, alias string, f directiveFlags, at func(*Values) *[]float64, doc string) *directive {
	render := func(v *Values) string {
		words := make([]string, len(*at(v)))
		for i, p := range *at(v) {
			words[i] = strconv.FormatFloat(p, 'f', -1, 64)
		}
		return strings.Join(words, " ")
	}
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = []float64{50, 99, 99.9} },
		get:     render,
		set: func(v *Values, words []string, _ setting) error {
			if len(words) == 1 && words[0] == "" {
				words = nil
			}
			next := make([]float64, len(words))
			for i, w := range words {
				p, err := strconv.ParseFloat(w, 64)
				if err != nil {
					return errors.New("Invalid latency-tracking-info-percentiles parameters")
				}
				if !(p >= 0 && p <= 100) {
					return errors.New("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
				}
				next[i] = p
			}
			*at(v) = next
			return nil
		},
		lines: func(v *Values) ([]string, bool) {
			if len(*at(v)) == 0 {
				return []string{`""`}, true
			}
			return []string{render(v)}, true
		},
	}
}

func saveDirective(name, alias string, f directiveFlags, at func(*Values) *[]SavePoint, doc string) *directive {
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = []SavePoint{{3600, 1}, {300, 100}, {60, 10000}} },
		get: func(v *Values) string {
			points := make([]string, len(*at(v)))
			for i, p := range *at(v) {
				points[i] = fmt.Sprintf("%d %d", p.Seconds, p.Changes)
			}
			return strings.Join(points, " ")
		},
		set: func(v *Values, words []string, in setting) error {
			var old []SavePoint
			if in.reading != nil && in.reading.savesSeen {
				old = *at(v)
			}
			if len(words) == 1 && words[0] == "" {
				old, words = nil, nil
			}
			if len(words)%2 != 0 {
				return errors.New("Invalid save parameters")
			}
			next := slices.Clone(old)
			for ; len(words) > 0; words = words[2:] {
				seconds, err1 := strconv.ParseInt(words[0], 10, 64)
				changes, err2 := strconv.ParseInt(words[1], 10, 64)
				if err1 != nil || err2 != nil || seconds < 1 || changes < 0 {
					return errors.New("Invalid save parameters")
				}
				next = append(next, SavePoint{seconds, changes})
			}
			if in.reading != nil {
				in.reading.savesSeen = true
			}
			*at(v) = next
			return nil
		},
		lines: func(v *Values) ([]string, bool) {
			lines := make([]string, len(*at(v)))
			for i, p := range *at(v) {
				lines[i] = fmt.Sprintf("%d %d", p.Seconds, p.Changes)
			}
			if len(lines) == 0 {
				lines = []string{`""`}
			}
			return lines, true
		},
	}
}

// dirDirective keeps the folder as an absolute path: the process does not change its own
// working directory, because several nodes may live in one process.
func dirDirective(name, alias string, f directiveFlags, at func(*Values) *string, doc string) *directive {
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(*Values) {}, // the working directory, set by Load
		get:     func(v *Values) string { return *at(v) },
		set: func(v *Values, words []string, in setting) error {
			path := words[0]
			if path == "" {
				return errors.New("No such file or directory")
			}
			if !filepath.IsAbs(path) {
				base := *at(v)
				if base == "" {
					base = in.cwd
				}
				path = filepath.Join(base, path)
			}
			info, err := os.Stat(path)
			switch {
			case err != nil:
				return reason(err)
			case !info.IsDir():
				return errors.New("Not a directory")
			}
			*at(v) = filepath.Clean(path)
			return nil
		},
		lines: func(v *Values) ([]string, bool) { return []string{quote(*at(v))}, true },
	}
}

// reason is the system's word for an error, as strerror says it.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	s := err.Error()
	return errors.New(strings.ToUpper(s[:1]) + s[1:])
}

func replicaofDirective(name, alias string, f directiveFlags, at func(*Values) *HostPort, doc string) *directive {
	render := func(v *Values) string {
		if at(v).Host == "" {
			return ""
		}
		return at(v).Host + " " + strconv.Itoa(at(v).Port)
	}
	return &directive{
		name: name, alias: alias, doc: doc, flags: f,
		initial: func(v *Values) { *at(v) = HostPort{} },
		get:     render,
		set: func(v *Values, words []string, _ setting) error {
			if len(words) != 2 {
				return errWrongWords
			}
			if strings.EqualFold(words[0], "no") && strings.EqualFold(words[1], "one") {
				*at(v) = HostPort{}
				return nil
			}
			port, err := strconv.Atoi(words[1])
			if err != nil || port < 0 || port > 65535 {
				return errors.New("Invalid master port")
			}
			*at(v) = HostPort{words[0], port}
			return nil
		},
		lines: func(v *Values) ([]string, bool) {
			if at(v).Host == "" || v.ClusterEnabled {
				return nil, false
			}
			return []string{render(v)}, true
		},
	}
}

func baseName(s string) bool { return !strings.ContainsAny(s, `/\`) }

func validDBFilename(s string) error {
	if !baseName(s) {
		return errors.New("dbfilename can't be a path, just a filename")
	}
	return nil
}

func validAppendFilename(s string) error {
	if s == "" {
		return errors.New("appendfilename can't be empty")
	}
	if !baseName(s) {
		return errors.New("appendfilename can't be a path, just a filename")
	}
	return nil
}

func validAppendDirname(s string) error {
	if s == "" {
		return errors.New("appenddirname can't be empty")
	}
	if !baseName(s) {
		return errors.New("appenddirname can't be a path, just a dirname")
	}
	return nil
}

func validHostname(s string) error {
	if len(s) >= 256 {
		return errors.New("Hostnames must be less than 256 characters")
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.')
	}) {
		return errors.New("Hostnames may only contain alphanumeric characters, hyphens or dots")
	}
	return nil
}

func validVoters(s string) error {
	if s != "auto" {
		return errors.New("only auto is supported: the cluster chooses its voters")
	}
	return nil
}

func validNodename(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("!\"#$%&'()*+,/;<=>?@[]^`{|}~\\:", r)
	}) {
		return errors.New("Announced human node name contained invalid character")
	}
	return nil
}

// validTitle is what proc-title-template must be: with a program of no name it has to show something.
func validTitle(s string) error {
	if title, ok := expandTitle(s, titleWords(&Values{Port: 1}, "", "")); !ok || title == "" {
		return errors.New("template format is invalid or contains unknown variables")
	}
	return nil
}
