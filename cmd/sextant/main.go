// Command sextant is the server and its tools in one binary.
package main

import (
	_ "github.com/anishathalye/porcupine"
	_ "github.com/hashicorp/go-msgpack/v2/codec"
	_ "github.com/redis/go-redis/v9"
	_ "github.com/schollz/progressbar/v3"
	_ "github.com/spf13/cobra"
	_ "github.com/stretchr/testify/require"
	_ "github.com/stretchr/testify/assert"
	_ "github.com/tidwall/redcon"
	_ "go.uber.org/zap"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
)

func main() {}
