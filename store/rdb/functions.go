package rdb

import "errors"

// The refusals of FUNCTION RESTORE besides ErrPayloadFooter, in Redis' words.
var (
	errFunctionType   = errors.New("given type is not a function")
	errFunctionOld    = errors.New("Pre-GA function format not supported")
	errFunctionFailed = errors.New("failed loading the given functions payload")
)

// AppendFunctions appends the payload of function libraries (FUNCTION DUMP) to dst.
func AppendFunctions(dst []byte, codes [][]byte, o WriterOptions) []byte {
	e := Encoder{buf: dst, compress: o.Compress}
	from := len(dst)
	for _, code := range codes {
		e.Byte(opFunction2)
		e.String(code)
	}
	return appendFooter(e.buf, from)
}

// ParseFunctions reads such a payload (FUNCTION RESTORE).
func ParseFunctions(payload []byte, o ReaderOptions) (codes [][]byte, err error) {
	body, err := checkFooter(payload, o.SkipChecksum)
	if err != nil {
		return nil, err
	}
	d := newPayloadDecoder(body)
	d.limits = o.limits()
	for d.pos != d.end {
		switch op, err := d.Byte(); {
		case err != nil:
			return nil, err
		case op == opFunctionOld:
			return nil, errFunctionOld
		case op != opFunction2:
			return nil, errFunctionType
		}
		code, err := d.String()
		if err != nil {
			return nil, errFunctionFailed
		}
		codes = append(codes, append([]byte(nil), code...))
	}
	return codes, nil
}
