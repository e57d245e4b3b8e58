// Package vm is a Lua 5.1 machine: it owns the language — values, tables, the compiler, calls, errors,
// coroutines — and the libraries that belong to it (base, string, table, math, coroutine).
//
// resp/lua gives it the server's libraries and runs scripts on it; nobody else uses it. It must not know
// commands, replies, scripts' hashes, clocks or goroutines: what it needs of the world comes through VM's
// function fields.
//
// What scripts can see is PUC Lua's, down to the order in which pairs walks a table (its node arrays, its hash
// functions, its rehashing rule), #t of tables with holes, "%.14g", and the variable names in error messages:
// scripts were written against that, and replies made with cjson depend on it.
//
//   - value.go, table.go: values; tables after ltable.c's published algorithm
//   - lex.go, parse.go, ast.go: source to tree; locals are resolved to registers, captured ones to cells
//   - compile.go, ops.go: tree to closures over frames; there is no byte code
//   - thread.go, error.go, meter.go: calls, frames, errors as panics, the memory bound, interruption
//   - debug.go: what a debugger sees, of code that was compiled for one
//   - base.go, str.go, pattern.go, format.go, tab.go, math.go, coroutine.go: libraries
//
// Why not gopher-lua: a script must be stopped before one concatenation or one table index takes a gigabyte, and
// numbers, holes, pairs order, messages and upvalues after a caught error must be PUC's. There each of these
// sits inside its instruction loop.
//
// # Errors
//
// A Lua error is a panic with an *Error, which pcall, a coroutine or VM.Call recovers; any other panic is a broken
// invariant and passes through.
//
// # Concurrency
//
// A VM is used by one goroutine at a time (coroutines run as iter.Pull: never beside their caller). A Proto is
// immutable and may be shared by any number of VMs.
package vm
