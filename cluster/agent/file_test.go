package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
)

// saved makes a state file of a node with one whole generation and n appended records.
func saved(t *testing.T, n int) (path string) {
	path = filepath.Join(t.TempDir(), "nodes.conf")
	s, loaded, err := openState(path, false)
	require.NoError(t, err)
	require.True(t, loaded.Fresh)
	require.NoError(t, s.save(&core.Save{All: true, Records: []topology.Record{{Key: "self", Value: "me 1"}, {Key: "gone", Value: "x"}}}))
	for i := range n {
		require.NoError(t, s.save(&core.Save{Records: []topology.Record{{Key: "epoch", Value: fmt.Sprint(i)}, {Key: "gone"}}}))
	}
	s.close()
	return path
}

func reopen(path string, dataPresent bool) (map[string]string, *topology.Loaded, error) {
	s, loaded, err := openState(path, dataPresent)
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	got := map[string]string{}
	for _, r := range loaded.Records {
		got[r.Key] = r.Value
	}
	return got, loaded, nil
}

func TestStateComesBack(t *testing.T) {
	path := saved(t, 3)
	got, loaded, err := reopen(path, true)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"self": "me 1", "epoch": "2"}, got)
	assert.Empty(t, loaded.Repaired)
	assert.Equal(t, uint64(1), loaded.Generation)
}

func TestStateFileDamage(t *testing.T) {
	edit := func(f func(b []byte) []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, f(b), 0o644))
		}
	}
	lineStart := func(b []byte, line int) int {
		at := 0
		for ; line > 0; line-- {
			for b[at] != '\n' {
				at++
			}
			at++
		}
		return at
	}
	for _, c := range []struct {
		name     string
		damage   func(*testing.T, string)
		data     bool
		epoch    string // "" when refused
		repaired bool
		refusal  string
	}{
		{"torn last record", edit(func(b []byte) []byte { return b[:len(b)-4] }), true, "2", true, ""},
		{"half a line appended", edit(func(b []byte) []byte { return append(b, "0badc0de 9 ep"...) }), true, "2", true, ""},
		{"bit flip in the last record", edit(func(b []byte) []byte { b[len(b)-3] ^= 4; return b }), true, "2", true, ""},
		{"bit flip in the middle", edit(func(b []byte) []byte { b[lineStart(b, 3)+12] ^= 1; return b }), true, "", false, "the middle is corrupt"},
		{"a line is missing", edit(func(b []byte) []byte {
			return append(append([]byte{}, b[:lineStart(b, 3)]...), b[lineStart(b, 4):]...)
		}), true, "", false, "lines are missing"},
		{"bit flip in the identity", edit(func(b []byte) []byte { b[lineStart(b, 1)+12] ^= 1; return b[:lineStart(b, 2)] }), true, "", false, "identity"},
		{"empty, with data", edit(func([]byte) []byte { return nil }), true, "", false, "data files are present"},
		{"a nodes.conf of Redis", edit(func([]byte) []byte {
			return []byte("07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:30004@31004 myself,master - 0 0 1 connected\nvars currentEpoch 6 lastVoteEpoch 0\n")
		}), false, "", false, "line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := saved(t, 3)
			// The last save is two lines (epoch, gone): tests that tear lose "gone" only.
			c.damage(t, path)
			got, loaded, err := reopen(path, c.data)
			if c.epoch == "" {
				require.Error(t, err)
				assert.Contains(t, err.Error(), c.refusal)
				assert.Contains(t, err.Error(), path)
				assert.Contains(t, err.Error(), "byte", "the refusal says where")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.epoch, got["epoch"])
			assert.Equal(t, c.repaired, loaded.Repaired != "")
			again, loaded, err := reopen(path, c.data)
			require.NoError(t, err, "a repaired file is whole")
			assert.Empty(t, loaded.Repaired)
			assert.Equal(t, got, again)
		})
	}
}

func TestAppendingAfterARepair(t *testing.T) {
	path := saved(t, 1)
	b, _ := os.ReadFile(path)
	require.NoError(t, os.WriteFile(path, b[:len(b)-3], 0o644))
	s, _, err := openState(path, true)
	require.NoError(t, err)
	require.NoError(t, s.save(&core.Save{Records: []topology.Record{{Key: "epoch", Value: "77"}}}))
	s.close()
	got, _, err := reopen(path, true)
	require.NoError(t, err)
	assert.Equal(t, "77", got["epoch"])
}

func TestEmptyFileWithoutDataIsAFirstStart(t *testing.T) {
	path := saved(t, 0)
	require.NoError(t, os.Truncate(path, 0))
	_, loaded, err := reopen(path, false)
	require.NoError(t, err)
	assert.True(t, loaded.Fresh)
}

func TestMissingFileIsAFirstStartAlsoBesideData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nodes.conf")
	_, loaded, err := reopen(path, true)
	require.NoError(t, err)
	assert.True(t, loaded.Fresh)
	assert.NoFileExists(t, path, "a start that saved nothing leaves nothing")
}

func TestTwoNodesCannotShareAFile(t *testing.T) {
	path := saved(t, 0)
	s, _, err := openState(path, false)
	require.NoError(t, err)
	_, _, err = openState(path, false)
	var used *InUseError
	require.ErrorAs(t, err, &used)
	assert.Equal(t, "Sorry, the cluster configuration file "+path+" is already used by a different Redis Cluster node. "+
		"Please make sure that different nodes use different cluster configuration files.", err.Error())

	// The lock moves on with each generation.
	require.NoError(t, s.save(&core.Save{All: true, Records: []topology.Record{{Key: "self", Value: "me 2"}}}))
	_, _, err = openState(path, false)
	require.True(t, errors.As(err, &used))
	s.close()
	_, _, err = reopen(path, false)
	require.NoError(t, err)
}

func TestFileIsRewrittenWhenItOutgrowsItsContent(t *testing.T) {
	path := saved(t, 0)
	s, _, err := openState(path, false)
	require.NoError(t, err)
	value := string(make([]byte, 8000))
	for i := range 40 {
		require.NoError(t, s.save(&core.Save{Records: []topology.Record{{Key: "voter", Value: fmt.Sprint(i, value)}}}))
	}
	assert.Greater(t, s.gen, uint64(1))
	assert.Less(t, s.size, int64(compactSlack+8*8000))
	s.close()
	got, _, err := reopen(path, true)
	require.NoError(t, err)
	assert.Contains(t, got["voter"], "39")
	assert.Equal(t, "me 1", got["self"])
	assert.NoFileExists(t, path+".new")
}

func TestLeftoverOfAnInterruptedRewriteIsIgnored(t *testing.T) {
	path := saved(t, 2)
	require.NoError(t, os.WriteFile(path+".new", []byte("half a generation"), 0o644))
	s, loaded, err := openState(path, true)
	require.NoError(t, err)
	assert.Len(t, loaded.Records, 2)
	require.NoError(t, s.save(&core.Save{All: true, Records: loaded.Records}))
	s.close()
	got, _, err := reopen(path, true)
	require.NoError(t, err)
	assert.Equal(t, "1", got["epoch"])
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	_, _, err := openState(filepath.Join(t.TempDir(), "no", "such", "nodes.conf"), false)
	assert.ErrorContains(t, err, "Can't open")
}
