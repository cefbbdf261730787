#include "textflag.h"

// func prefetch(l *leaf, at, lines int)
TEXT ·prefetch(SB), NOSPLIT, $0-24
	MOVQ l+0(FP), AX
	ADDQ at+8(FP), AX
	MOVQ lines+16(FP), CX

next:
	PREFETCHT0 (AX)
	ADDQ $64, AX
	DECQ CX
	JGT  next
	RET
