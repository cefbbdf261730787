#include "textflag.h"

// func prefetch(l *leaf, at, lines int)
TEXT ·prefetch(SB), NOSPLIT, $0-24
	MOVD l+0(FP), R0
	MOVD at+8(FP), R1
	ADD  R1, R0
	MOVD lines+16(FP), R1

next:
	PRFM (R0), PLDL1KEEP
	ADD  $64, R0
	SUBS $1, R1
	BGT  next
	RET
