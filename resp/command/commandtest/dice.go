package commandtest

import (
	"math/rand/v2"

	"github.com/sextantdb/sextant/resp/command"
)

// Seeded makes the entries of a family that draw from dice draw the same numbers whenever the
// data set has the same history: the two sides of a Bench then choose alike.
func Seeded(dice *rand.PCG, entries []command.Command) []command.Command {
	for i := range entries {
		run := entries[i].Run
		entries[i].Run = func(c *command.Ctx) {
			dice.Seed(uint64(c.Txn.Store().Changes()), uint64(c.Txn.Now()))
			run(c)
		}
	}
	return entries
}
