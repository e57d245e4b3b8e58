// Package lib is the libraries that Redis adds to Lua: cjson, cmsgpack, struct and bit, as scripts see them there,
// down to error texts and limits.
//
// resp/lua opens them in its machines. It must not know scripts, commands or replies.
//
// # Concurrency
//
// A library belongs to its VM; see vm.
package lib

import "github.com/sextantdb/sextant/resp/lua/vm"

// Open enters the libraries into a VM's globals.
func Open(m *vm.VM) {
	openJSON(m)
	openMsgpack(m)
	openStruct(m)
	openBit(m)
}
