/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context switch: save the callee-saved registers on the old stack, change stacks, load them from the new one.
 *
 * ais_switch(&old_sp, new_sp) returns when somebody switches back. A new stack is prepared so that the first switch "returns" into
 * ais_fiber_start with the fiber in a callee-saved register.
 */
#include "run/switch.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl ais_switch\n"
        ".hidden ais_switch\n"
        ".type ais_switch,@function\n"
        "ais_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size ais_switch,.-ais_switch\n"
        ".type ais_start,@function\n"
        "ais_start:\n"
        "    movq %rbx, %rdi\n"
        "    xorl %ebp, %ebp\n"
        "    call *%r12\n"
        "    ud2\n"
        ".size ais_start,.-ais_start\n");
extern void ais_start(void);

void *
ais_stack_prepare(void *top, void (*fn)(void *), void *arg)
{
    uintptr_t *sp = (uintptr_t *)((uintptr_t)top & ~(uintptr_t)15);

    *--sp = (uintptr_t)ais_start; /* return address of the first switch */
    *--sp = 0;                    /* rbp */
    *--sp = (uintptr_t)arg;       /* rbx */
    *--sp = (uintptr_t)fn;        /* r12 */
    *--sp = 0;                    /* r13 */
    *--sp = 0;                    /* r14 */
    *--sp = 0;                    /* r15 */
    return sp;
}

#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl ais_switch\n"
        ".hidden ais_switch\n"
        ".type ais_switch,%function\n"
        "ais_switch:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size ais_switch,.-ais_switch\n"
        ".type ais_start,%function\n"
        "ais_start:\n"
        "    mov x0, x19\n"
        "    mov x29, #0\n"
        "    blr x20\n"
        "    brk #0\n"
        ".size ais_start,.-ais_start\n");
extern void ais_start(void);

void *
ais_stack_prepare(void *top, void (*fn)(void *), void *arg)
{
    uintptr_t *sp = (uintptr_t *)((uintptr_t)top & ~(uintptr_t)15);

    sp -= 20;
    memset(sp, 0, 160);
    sp[0] = (uintptr_t)arg;        /* x19 */
    sp[1] = (uintptr_t)fn;         /* x20 */
    sp[11] = (uintptr_t)ais_start; /* x30 */
    return sp;
}

#else
#include <stdlib.h>
#include <ucontext.h>

/* Elsewhere: ucontext. A "stack pointer" is then a pointer to a context; the prepared one lies on the new stack. */
struct prepared {
    ucontext_t uc;
    void (*fn)(void *);
    void *arg;
    void *base;
};

static _Thread_local struct prepared *starting;

static void
uc_entry(void)
{
    struct prepared *p = starting;

    p->fn(p->arg);
    abort();
}

void *
ais_stack_prepare(void *top, void (*fn)(void *), void *arg)
{
    struct prepared *p = (struct prepared *)(((uintptr_t)top - sizeof(*p)) & ~(uintptr_t)63);

    memset(p, 0, sizeof(*p));
    p->fn = fn;
    p->arg = arg;
    p->base = p;
    return p;
}

void
ais_switch(void **old_sp, void *new_sp)
{
    struct prepared *to = new_sp, me;

    memset(&me, 0, sizeof(me));
    *old_sp = &me;
    if (to->base == to) {
        to->base = NULL;
        getcontext(&to->uc);
        to->uc.uc_stack.ss_size = 128 * 1024;
        to->uc.uc_stack.ss_sp = (char *)to - to->uc.uc_stack.ss_size;
        to->uc.uc_link = NULL;
        makecontext(&to->uc, uc_entry, 0);
        starting = to;
    }
    swapcontext(&me.uc, &to->uc);
}
#endif
