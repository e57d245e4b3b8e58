// Package command is the command table: what one entry is, how its keys, arguments and
// reply are written down, everything that is derived from them, and Ctx, the words a
// handler may say. Families (its subpackages) fill the table; dispatch walks requests
// along it; whoever wants to know something about a command asks here.
//
// It must not know any family, nor sockets, nor how a request is dispatched.
package command
