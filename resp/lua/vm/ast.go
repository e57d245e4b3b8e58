package vm

// The tree of a chunk. Names are resolved while it is built; whether a local is captured is known only when its function
// has been read to the end, so closures are made after that.

// local is one local variable.
type local struct {
	name     string
	slot     int
	captured bool
}

// upvalue says where a closure finds a variable when it is made.
type upvalue struct {
	name  string
	local *local // of the function around; nil: its upvalue number index
	index int
}

// function is the tree of a function.
type function struct {
	parent   *function
	line     int32
	params   []*local
	vararg   bool
	arg      *local // the "arg" of old, in functions with ... that do not use it
	usesDots bool
	upvals   []upvalue
	body     []stmtNode
	slots    int // registers in use
	most     int

	active []*local // in scope
	loops  int
}

type (
	exprNode interface{}
	stmtNode interface{}

	exprConst struct{ v Value }
	exprDots  struct{}
	exprFunc  struct{ fn *function }
	exprLocal struct{ v *local }
	exprUpval struct {
		index int
		name  string
	}
	exprGlobal struct {
		name *Str
		line int32
	}
	exprIndex struct {
		obj, key exprNode
		line     int32
	}
	exprCall struct {
		fn   exprNode
		args []exprNode
		line int32
	}
	exprMethod struct {
		obj  exprNode
		name *Str
		args []exprNode
		line int32
	}
	exprParen struct{ e exprNode }
	exprBin   struct {
		op   token
		l, r exprNode
		line int32
	}
	exprUn struct {
		op   token
		e    exprNode
		line int32
	}
	// exprAt is the condition of an elseif in code compiled for a debugger.
	exprAt struct {
		e  exprNode
		at *stmtAt
	}
	exprTable struct {
		items []exprNode
		keys  []exprNode
		vals  []exprNode
		order []bool // per entry as written: true for a keyed one
		line  int32
	}

	stmtLocal struct {
		vars  []*local
		exprs []exprNode
		line  int32
	}
	stmtAssign struct {
		targets, exprs []exprNode
		line           int32
	}
	stmtCall  struct{ call exprNode }
	stmtDo    struct{ body []stmtNode }
	stmtWhile struct {
		cond exprNode
		body []stmtNode
		line int32
	}
	stmtRepeat struct {
		body []stmtNode
		cond exprNode
		line int32
	}
	stmtIf struct {
		conds  []exprNode
		bodies [][]stmtNode
	}
	stmtNumFor struct {
		v              *local
		base           int
		from, to, step exprNode
		body           []stmtNode
		line           int32
	}
	stmtGenFor struct {
		vars  []*local
		base  int
		exprs []exprNode
		body  []stmtNode
		line  int32
	}
	stmtLocalFunc struct {
		v  *local
		fn *function
	}
	stmtReturn struct {
		exprs []exprNode
		line  int32
	}
	stmtBreak struct{}
	// stmtAt stands around a statement, or alone (s nil) where a block ends, in code compiled for a debugger. active are
	// the locals in scope; fresh: control came here in a new call or round, so that the line counts as another; back: so
	// does the next line. Line 0 is told to nobody.
	stmtAt struct {
		s      stmtNode
		line   int32
		active []*local
		fresh  bool
		back   bool
	}
)
