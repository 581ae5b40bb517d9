/* SPDX-License-Identifier: MIT */
/*
 * What an instruction is about to store, and where.
 *
 * Read: prefixes (legacy, REX, VEX, EVEX), opcode, ModRM, SIB, displacement.
 * Not read: immediates, so lengths stay unknown. An operand relative to rip is
 * in the program's own image, and one with a segment in thread-local storage:
 * neither is the arena's. Pushes and x87 count as no store: they go to the
 * stack.
 *
 * A compare-and-exchange stores even when it fails, as the processor has it.
 * What is missing here would be found by trace.c, which compares the arena too.
 */
#include "decode.h"

#include <string.h>

struct operand {
	unsigned mod, reg, rm;
	bool memory; /* at address */
	uint64_t address;
};

struct prefixes {
	unsigned rex; /* W R X B */
	bool lock, repeat, segment;
	bool vector; /* VEX or EVEX */
	unsigned map; /* 0: one byte, 1: 0f, 2: 0f 38, 3: 0f 3a */
	unsigned scale; /* of an 8-bit displacement */
};

static uint64_t reg(const struct user_regs_struct *r, unsigned n)
{
	switch (n) {
	case 0: return r->rax;
	case 1: return r->rcx;
	case 2: return r->rdx;
	case 3: return r->rbx;
	case 4: return r->rsp;
	case 5: return r->rbp;
	case 6: return r->rsi;
	case 7: return r->rdi;
	case 8: return r->r8;
	case 9: return r->r9;
	case 10: return r->r10;
	case 11: return r->r11;
	case 12: return r->r12;
	case 13: return r->r13;
	case 14: return r->r14;
	default: return r->r15;
	}
}

/* ModRM and what belongs to it. */
static void read_operand(const uint8_t *at, const struct prefixes *p,
			 const struct user_regs_struct *r, struct operand *o)
{
	unsigned base, index;
	int32_t disp = 0;

	o->mod = *at >> 6;
	o->reg = *at >> 3 & 7;
	o->rm = *at++ & 7;
	o->memory = false;
	if (o->mod == 3 || (o->mod == 0 && o->rm == 5))
		return;
	base = o->rm;
	o->address = 0;
	if (o->rm == 4) {
		base = *at & 7;
		index = (*at >> 3 & 7) | (p->rex & 2 ? 8 : 0);
		if (index != 4)
			o->address = reg(r, index) << (*at >> 6);
		at++;
	}
	if (o->mod == 0 && base == 5) {
		memcpy(&disp, at, 4);
	} else {
		o->address += reg(r, base | (p->rex & 1 ? 8 : 0));
		if (o->mod == 1)
			disp = (int8_t)*at * (int32_t)p->scale;
		else if (o->mod == 2)
			memcpy(&disp, at, 4);
	}
	o->address += (uint64_t)(int64_t)disp;
	o->memory = !p->segment;
}

/* Does a one-byte opcode store to its ModRM operand? */
static bool stores_0(unsigned op, unsigned ext)
{
	if (op < 0x38)
		return (op & 7) <= 1; /* add or adc sbb and sub xor */
	switch (op) {
	case 0x80: case 0x81: case 0x83:
		return ext != 7; /* cmp */
	case 0x86: case 0x87: /* xchg */
	case 0x88: case 0x89: case 0x8c: /* mov */
	case 0x8f: /* pop */
	case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3:
	case 0xc6: case 0xc7: /* mov */
		return true;
	case 0xf6: case 0xf7:
		return ext == 2 || ext == 3; /* not neg */
	case 0xfe: case 0xff:
		return ext <= 1; /* inc dec */
	default:
		return false;
	}
}

/* The same for 0f; and for VEX and EVEX of that map. */
static bool stores_1(unsigned op, unsigned ext, bool repeat)
{
	if (op >= 0x90 && op <= 0x9f)
		return true; /* setcc */
	switch (op) {
	case 0x11: case 0x13: case 0x17: case 0x29: case 0x2b: /* mov..ps */
	case 0x7f: case 0xd6: case 0xe7: /* movdq, movq, movntdq */
	case 0xa4: case 0xa5: case 0xac: case 0xad: /* shld shrd */
	case 0xab: case 0xb3: case 0xbb: /* bts btr btc */
	case 0xb0: case 0xb1: case 0xc0: case 0xc1: /* cmpxchg xadd */
	case 0xc3: /* movnti */
		return true;
	case 0x7e:
		return !repeat; /* movd, movq; with f3 a load */
	case 0xba:
		return ext >= 5;
	case 0xc7:
		return ext == 1; /* cmpxchg16b */
	default:
		return false;
	}
}

static bool stores(const struct prefixes *p, unsigned op, unsigned ext)
{
	switch (p->map) {
	case 0:
		return stores_0(op, ext);
	case 1:
		return stores_1(op, ext, p->repeat);
	case 2:
		return !p->vector && op == 0xf1; /* movbe */
	default: /* pextr, vextract */
		return (op >= 0x14 && op <= 0x17) || op == 0x19 || op == 0x1b ||
		       op == 0x39 || op == 0x3b;
	}
}

static const uint8_t *read_legacy(const uint8_t *at, struct prefixes *p)
{
	for (;; at++) {
		switch (*at) {
		case 0xf0:
			p->lock = true;
			break;
		case 0xf2: case 0xf3:
			p->repeat = true;
			break;
		case 0x64: case 0x65:
			p->segment = true;
			break;
		case 0x66: case 0x67: case 0x2e: case 0x36: case 0x3e: case 0x26:
			break;
		default:
			return at;
		}
	}
}

/* REX, VEX, EVEX and escape bytes, up to the opcode. */
static const uint8_t *read_map(const uint8_t *at, struct prefixes *p)
{
	if (*at == 0xc5 || *at == 0xc4 || *at == 0x62) {
		p->vector = true;
		p->repeat = false;
	}
	switch (*at) {
	case 0xc5:
		p->map = 1;
		p->repeat = (at[1] & 3) >= 2;
		return at + 2;
	case 0xc4:
		p->rex = (unsigned)~(at[1] >> 5) & 7;
		p->map = at[1] & 0x1f;
		p->repeat = (at[2] & 3) >= 2;
		return at + 3;
	case 0x62:
		p->rex = (unsigned)~(at[1] >> 5) & 7;
		p->map = at[1] & 7;
		p->repeat = (at[2] & 3) >= 2;
		p->scale = 16u << (at[3] >> 5 & 3);
		return at + 4;
	default:
		break;
	}
	if ((*at & 0xf0) == 0x40)
		p->rex = *at++ & 0xf;
	if (*at != 0x0f)
		return at;
	at++;
	p->map = *at == 0x38 ? 2 : *at == 0x3a ? 3 : 1;
	return p->map == 1 ? at : at + 1;
}

void decode(const uint8_t *at, const struct user_regs_struct *regs,
	    struct insn *ret)
{
	struct prefixes p = {.scale = 1};
	struct operand o = {0};
	unsigned op;

	*ret = (struct insn){.kind = INSN_OTHER};
	at = read_map(read_legacy(at, &p), &p);
	op = *at++;
	if (p.map == 0) {
		switch (op) {
		case 0xcc:
			ret->kind = INSN_MARK;
			return;
		case 0xe8:
			ret->kind = INSN_CALL;
			return;
		case 0xc2: case 0xc3:
			ret->kind = INSN_RETURN;
			return;
		case 0xa4: case 0xa5: case 0xaa: case 0xab: /* movs stos */
			ret->stores = !p.repeat || regs->rcx != 0;
			ret->address = regs->rdi;
			return;
		default:
			break;
		}
	}
	if (p.map == 1 && op == 0x05 && !p.vector) {
		ret->kind = INSN_SYSCALL;
		return;
	}
	read_operand(at, &p, regs, &o);
	if (p.map == 0 && op == 0xff && o.reg == 2)
		ret->kind = INSN_CALL;
	ret->stores = o.memory && (p.lock || stores(&p, op, o.reg));
	ret->address = o.address;
}
