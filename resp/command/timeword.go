package command

// TimeWord is a word that says how the number behind it means a time.
type TimeWord uint8

const (
	NoTime TimeWord = iota // another word
	EX                     // seconds from now
	PX                     // milliseconds from now
	EXAT                   // Unix time in seconds
	PXAT                   // and in milliseconds
)

// TimeWordOf is the TimeWord that word is.
func TimeWordOf(word []byte) TimeWord {
	switch {
	case Is(word, "EX"):
		return EX
	case Is(word, "PX"):
		return PX
	case Is(word, "EXAT"):
		return EXAT
	case Is(word, "PXAT"):
		return PXAT
	}
	return NoTime
}

// Scale says what a number n behind t means: base + n*unit is Unix time in milliseconds. REQUIRES: t is not NoTime.
func (t TimeWord) Scale(nowMs int64) (base, unit int64) {
	base, unit = 0, 1
	if t == EX || t == PX {
		base = nowMs
	}
	if t == EX || t == EXAT {
		unit = 1000
	}
	return base, unit
}
