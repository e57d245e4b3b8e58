package persist

import (
	"errors"
	"strconv"
	"strings"
)

// SavePoint asks for a background save once this many changes are older than this many seconds.
type SavePoint struct {
	Seconds int64
	Changes int64
}

// retryDelaySeconds is how long a failed background save is not tried again by itself.
const retryDelaySeconds = 5

// SaveState is what a decision to save depends on. Times are Unix seconds, as Redis compares them.
type SaveState struct {
	Dirty      int64 // changes since the last save
	LastSave   int64 // when the last save ended well, or the start of the process
	LastTry    int64 // when the last background save began; 0: never
	LastFailed bool  // it did not end well
}

// Due says whether a background save should begin now, and because of which point: the first
// in the order of the configuration whose changes have been reached and whose seconds have
// passed. After a failure it waits until more than retryDelaySeconds have passed since that try.
func Due(points []SavePoint, s SaveState, nowUnix int64) (SavePoint, bool) {
	if !mayTry(s, nowUnix) {
		return SavePoint{}, false
	}
	for _, p := range points {
		if s.Dirty >= p.Changes && nowUnix-s.LastSave > p.Seconds {
			return p, true
		}
	}
	return SavePoint{}, false
}

// mayTry is the part of Due that also holds for a scheduled save.
func mayTry(s SaveState, nowUnix int64) bool {
	return !s.LastFailed || nowUnix-s.LastTry > retryDelaySeconds
}

// DefaultSavePoints are those of a configuration without a save directive.
func DefaultSavePoints() []SavePoint {
	return []SavePoint{{3600, 1}, {300, 100}, {60, 10000}}
}

var errSavePoints = errors.New("Invalid save parameters")

// ParseSavePoints reads the value of the save directive: pairs of seconds and changes. An empty
// value means no save points.
func ParseSavePoints(value string) ([]SavePoint, error) {
	words := strings.Fields(value)
	if len(words)%2 != 0 {
		return nil, errSavePoints
	}
	points := make([]SavePoint, 0, len(words)/2)
	for i := 0; i < len(words); i += 2 {
		seconds, err1 := strconv.ParseInt(words[i], 10, 64)
		changes, err2 := strconv.ParseInt(words[i+1], 10, 64)
		if err1 != nil || err2 != nil || seconds < 1 || changes < 0 {
			return nil, errSavePoints
		}
		points = append(points, SavePoint{Seconds: seconds, Changes: changes})
	}
	return points, nil
}

// FormatSavePoints is the inverse of ParseSavePoints, as CONFIG GET save prints it.
func FormatSavePoints(points []SavePoint) string {
	var b strings.Builder
	for i, p := range points {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatInt(p.Seconds, 10))
		b.WriteByte(' ')
		b.WriteString(strconv.FormatInt(p.Changes, 10))
	}
	return b.String()
}
