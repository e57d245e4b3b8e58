package persist

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDue(t *testing.T) {
	points := []SavePoint{{3600, 1}, {300, 100}, {60, 10000}}
	for name, c := range map[string]struct {
		points []SavePoint
		s      SaveState
		now    int64
		want   SavePoint
		due    bool
	}{
		"nothing changed":                     {points, SaveState{Dirty: 0, LastSave: 1000}, 9999, SavePoint{}, false},
		"one change, an hour not yet over":    {points, SaveState{Dirty: 1, LastSave: 1000}, 4600, SavePoint{}, false},
		"one change, the hour over":           {points, SaveState{Dirty: 1, LastSave: 1000}, 4601, points[0], true},
		"99 changes in five minutes":          {points, SaveState{Dirty: 99, LastSave: 1000}, 1301, SavePoint{}, false},
		"100 changes in five minutes":         {points, SaveState{Dirty: 100, LastSave: 1000}, 1301, points[1], true},
		"10000 changes in a minute":           {points, SaveState{Dirty: 10000, LastSave: 1000}, 1061, points[2], true},
		"the first point that fits is told":   {points, SaveState{Dirty: 10000, LastSave: 1000}, 9999, points[0], true},
		"no points, no save":                  {nil, SaveState{Dirty: 10000, LastSave: 0}, 9999, SavePoint{}, false},
		"failed five seconds ago":             {points, SaveState{Dirty: 1, LastSave: 0, LastTry: 5000, LastFailed: true}, 5005, SavePoint{}, false},
		"failed six seconds ago":              {points, SaveState{Dirty: 1, LastSave: 0, LastTry: 5000, LastFailed: true}, 5006, points[0], true},
		"a good try just now is no hindrance": {points, SaveState{Dirty: 1, LastSave: 0, LastTry: 5000}, 5000, points[0], true},
		"zero changes asked for":              {[]SavePoint{{1, 0}}, SaveState{LastSave: 10}, 12, SavePoint{1, 0}, true},
	} {
		got, due := Due(c.points, c.s, c.now)
		require.Equal(t, c.due, due, name)
		require.Equal(t, c.want, got, name)
	}
}

func TestSavePointsAsText(t *testing.T) {
	p, err := ParseSavePoints("3600 1 300 100 60 10000")
	require.NoError(t, err)
	require.Equal(t, DefaultSavePoints(), p)
	require.Equal(t, "3600 1 300 100 60 10000", FormatSavePoints(p))

	p, err = ParseSavePoints("")
	require.NoError(t, err)
	require.Empty(t, p)
	require.Equal(t, "", FormatSavePoints(p))

	for _, bad := range []string{"1", "1 2 3", "a 1", "1 b", "0 1", "-1 1", "1 -1"} {
		_, err := ParseSavePoints(bad)
		require.EqualError(t, err, "Invalid save parameters", bad)
	}
}
