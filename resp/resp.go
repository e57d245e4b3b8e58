// Package resp owns the words of the client protocol: how a request is cut out of received bytes, how RESP2 and RESP3
// replies are written and read, and the one list of errors a client can be told.
//
// Everyone who talks to a client may use it; it is the floor below the server, the session and every command family.
//
// It must not know sockets, goroutines, clocks, commands or the store. It is pure: bytes in, values out. It stands on
// redcon: its append functions write the replies, and its ReadNextCommand slices the arguments out of a request. Because
// ReadNextCommand panics on a negative bulk length, lets lengths overflow, and starts again from the first byte whenever
// a request is incomplete, [Parser] proves each request whole and within Redis' limits first and hands it over only then.
//
//   - writer.go: [Writer], replies onto a byte slice without allocation
//   - double.go: doubles in Redis' own notation
//   - errors.go: [Error], the list of client errors and the functions that fill in the variable ones
//   - request.go: [Parser] and [SplitArgs], requests
//   - value.go, reader.go: [Value] and [Reader], replies as a client sees them
package resp
