// Package lua runs the scripts of EVAL and the functions of FCALL: it owns the cache of scripts, the function
// libraries, the machines they run on, the redis.* table, and what replies become in Lua and back.
//
// resp/command/script fronts it; node configures it, and gives it the libraries of data sets. It must not know
// commands or dispatch: a script calls out through Host.
//
//   - engine.go: [Engine]: scripts by SHA1, machines in a pool, numbers for INFO
//   - interp.go: one machine with the server's globals; api.go: redis.call and its like
//   - convert.go: RESP to Lua and Lua to RESP
//   - library.go, payload.go: function libraries
//   - debugger.go, show.go: a run that a person steps through
//   - vm: the language; lib: cjson, cmsgpack, struct, bit
//
// # Machines
//
// A machine is taken from the pool for a run and given back, so that with one event loop there is one machine, and
// what a library keeps in its own locals lives on as in Redis. With several loops each has its own such state;
// only keys are shared.
//
// # Concurrency
//
// Engine may be used by any goroutine; Engine.mu is a leaf, held for map operations only. An interp belongs to
// the goroutine that took it.
package lua
