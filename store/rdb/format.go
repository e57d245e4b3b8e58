package rdb

const (
	magic = "REDIS"

	// Version is what is written, MaxVersion the newest that is read.
	Version    = 10
	MaxVersion = 12

	// checksumSince is the version from which files end in a CRC64.
	checksumSince = 5

	slotCount = 16384
)

// Opcodes stand where a type byte could, and say something about the file or the next key.
const (
	opSlotInfo     = 244 // of Redis 7.4 and Valkey 8: slot, keys in it, keys in it that expire
	opFunction2    = 245
	opFunctionOld  = 246 // of the release candidates of 7.0
	opModuleAux    = 247
	opIdle         = 248
	opFreq         = 249
	opAux          = 250
	opResizeDB     = 251
	opExpireMillis = 252
	opExpireSecs   = 253
	opSelectDB     = 254
	opEOF          = 255
)

// The type bytes of values.
const (
	TypeString           = 0
	TypeList             = 1
	TypeSet              = 2
	TypeZSet             = 3
	TypeHash             = 4
	TypeZSet2            = 5
	TypeModulePreGA      = 6
	TypeModule2          = 7
	TypeHashZipmap       = 9
	TypeListZiplist      = 10
	TypeSetIntset        = 11
	TypeZSetZiplist      = 12
	TypeHashZiplist      = 13
	TypeListQuicklist    = 14
	TypeStreamListpacks  = 15
	TypeHashListpack     = 16
	TypeZSetListpack     = 17
	TypeListQuicklist2   = 18
	TypeStreamListpacks2 = 19
	TypeSetListpack      = 20
	TypeStreamListpacks3 = 21

	// Hashes whose fields expire, of Redis 7.4 (22 and 23 are those of its release candidates).
	TypeHashTimedOld    = 22
	TypeHashListpackOld = 23
	TypeHashTimed       = 24
	TypeHashListpackEx  = 25
)

// typeNames has the names of the types as redis-check-rdb prints them.
var typeNames = [...]string{
	TypeString: "string", TypeList: "list-linked", TypeSet: "set-hashtable", TypeZSet: "zset-v1",
	TypeHash: "hash-hashtable", TypeZSet2: "zset-v2", TypeModulePreGA: "module-pre-release",
	TypeModule2: "module-value", TypeHashZipmap: "hash-zipmap", TypeListZiplist: "list-ziplist",
	TypeSetIntset: "set-intset", TypeZSetZiplist: "zset-ziplist", TypeHashZiplist: "hash-ziplist",
	TypeListQuicklist: "quicklist", TypeStreamListpacks: "stream", TypeHashListpack: "hash-listpack",
	TypeZSetListpack: "zset-listpack", TypeListQuicklist2: "quicklist-v2",
	TypeStreamListpacks2: "stream-v2", TypeSetListpack: "set-listpack", TypeStreamListpacks3: "stream-v3",
	TypeHashTimedOld: "hash-hashtable-md-pre-release", TypeHashListpackOld: "hash-listpack-md-pre-release",
	TypeHashTimed: "hash-hashtable-md", TypeHashListpackEx: "hash-listpack-md",
}

const unknownType = "unknown"

func typeName(rdbType byte) string {
	if int(rdbType) < len(typeNames) && typeNames[rdbType] != "" {
		return typeNames[rdbType]
	}
	return unknownType
}

// moduleName spells the name inside a 64-bit module id: nine characters of six bits, above ten
// bits of encoding version.
func moduleName(id uint64) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var name [9]byte
	id >>= 10
	for i := len(name) - 1; i >= 0; i-- {
		name[i] = alphabet[id&63]
		id >>= 6
	}
	return string(name[:])
}
