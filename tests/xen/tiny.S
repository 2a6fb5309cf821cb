/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A kernel for domains that are made and never run, of either kind. */
	.text
	.globl entry, entry32
	.code32
entry32:
	hlt
	jmp entry32
	.code64
entry:
	pause
	jmp entry

	/* Types of notes are those of xen/elfnote.h. */
	.macro note type, kind, value:vararg
	.balign 4
	.long 4
	.long 2f - 1f
	.long \type
	.asciz "Xen"
1:	\kind \value
2:
	.endm
	.section .note.Xen, "a", @note
	note 6, .asciz, "none"
	note 8, .asciz, "generic"
	note 5, .asciz, "xen-3.0"
	note 3, .quad, 0xffffffff80000000
	note 4, .quad, 0
	note 1, .quad, entry
	note 9, .asciz, "yes"
	note 18, .quad, 0x100000
