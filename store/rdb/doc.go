// Package rdb reads and writes Redis' RDB format: whole files and streams (Writer, Reader),
// single values in DUMP payloads, and the CRC64 that protects both. Persistence, replication,
// migration and the DUMP and RESTORE commands use it. It must not know the keyspace: it gives
// and takes keys, values and their attributes one by one.
//
// # Versions
//
// Files are written as version 10, which Redis 7.0 and everything after it loads, but for hashes
// with fields that expire: only Redis 7.4 and later know such, and their two types stand in the
// file only where a hash has such a field. Versions 1 to 12 are read, with every opcode those have;
// data of modules is refused by name.
//
// # Trust
//
// Input may be truncated, damaged or made to harm. A length is believed only as far as bytes
// have arrived, nothing recurses on the input, each item that is wrong is refused with its
// offset and a reason (CorruptError), and the checksum at the end is compared before the end is
// reported. Whoever loads must therefore not show what it has loaded before Next said End.
//
// # A type's form
//
// How the value of a data type looks is a Codec: one file per type, and one line in the table
// in codec.go. The RDB type byte chooses the codec when reading, the value's type when writing.
package rdb
