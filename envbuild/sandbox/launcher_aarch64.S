// Assembled into launcher.py, where its contract is; `as launcher_aarch64.S`, then `objcopy -O binary -j .text`.
        .set    ORDERS, 0x600000
        .set    SIZE, 0x800000
        .globl _start
_start: add     x19, sp, #8             // the paths to try: argv, up to an empty one
        mov     x20, x19
1:      ldr     x0, [x20], #8
        cbz     x0, 8f                  // none of our making
        ldrb    w0, [x0]
        cbnz    w0, 1b                  // x20: the program's own argv
        mov     x21, x20
2:      ldr     x0, [x21], #8
        cbnz    x0, 2b                  // x21: its environment

        mov     x24, #ORDERS
        mov     x25, #SIZE
        mov     x26, #4
orders: mov     x22, #0                 // all that comes from descriptor x26, if there is anything
1:      mov     x8, #63                 // read(x26, ORDERS + length, SIZE - length)
        mov     x0, x26
        add     x1, x24, x22
        subs    x2, x25, x22
        b.eq    2f
        svc     #0
        cmp     x0, #0
        b.le    2f
        add     x22, x22, x0
        b       1b
2:      cbz     x22, 4f
        mov     x23, x24                // x23: the order that comes next
3:      ldr     x8, [x23]
        tbnz    x8, #63, 5f
        ldp     x0, x1, [x23, #8]
        ldp     x2, x3, [x23, #24]
        ldp     x4, x5, [x23, #40]
        svc     #0
        tbnz    x0, #63, 9f
        add     x23, x23, #64
        b       3b
5:      ldr     x26, [x23, #8]
        cmn     x8, #3
        b.eq    orders                  // -3: read others from a descriptor
        cmn     x8, #1
        b.eq    5f
        mov     x8, #220                // -2: clone(SIGCHLD, 0, 0, 0, 0), which is fork
        mov     x0, #17
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        svc     #0
        tbnz    x0, #63, 9f
        cbnz    x0, 6f
        add     x23, x23, #64
        b       3b

5:      ldp     x19, x20, [x23, #8]     // -1: execute; the paths, the argv and the environment are with the orders
        ldr     x21, [x23, #24]
        b       4f

6:      mov     x22, x0                 // the parent: reaps until its child is gone, then ends and reaps all others
1:      mov     x8, #260                // wait4(-1, ORDERS, 0, 0)
        mov     x0, #-1
        mov     x1, x24
        mov     x2, #0
        mov     x3, #0
        svc     #0
        cmp     x0, x22
        b.ne    1b
        mov     x8, #129                // kill(-1, SIGKILL)
        mov     x0, #-1
        mov     x1, #9
        svc     #0
2:      mov     x8, #260                // wait4(-1, 0, 0, 0), until there is none
        mov     x0, #-1
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        svc     #0
        cmn     x0, #10                 // ECHILD
        b.ne    2b
        mov     x8, #64                 // write(3, ORDERS, 4): the child's status
        mov     x0, #3
        mov     x1, x24
        mov     x2, #4
        svc     #0
        b       7f

4:      mov     x8, #25                 // fcntl(3, F_SETFD, FD_CLOEXEC)
        mov     x0, #3
        mov     x1, #2
        mov     x2, #1
        svc     #0
3:      ldr     x0, [x19]
        ldrb    w1, [x0]
        cbz     w1, 8f
        mov     x8, #221                // execve(path, argv, environment)
        mov     x1, x20
        mov     x2, x21
        svc     #0
        neg     x22, x0
        cmp     x22, #2                 // ENOENT
        b.ne    4f
        mov     x8, #48                 // faccessat(AT_FDCWD, path, F_OK)
        mov     x0, #-100
        ldr     x1, [x19]
        mov     x2, #0
        svc     #0
        cbnz    x0, 4f
        mov     x22, #79                // ELIBACC: it is there, so what is missing is its interpreter
4:      str     x22, [sp, #-16]!
        mov     x8, #64                 // write(3, &errno, 1)
        mov     x0, #3
        mov     x1, sp
        mov     x2, #1
        svc     #0
        add     x19, x19, #8
        cmp     x22, #13                // EACCES
        b.eq    3b
        cmp     x22, #20                // ENOTDIR
        b.eq    3b
        cmp     x22, #2
        b.eq    3b
8:      str     xzr, [sp, #-16]!        // write(3, "", 1): that was all
        mov     x8, #64
        mov     x0, #3
        mov     x1, sp
        mov     x2, #1
        svc     #0
7:      mov     x8, #94                 // exit_group(127)
        mov     x0, #127
        svc     #0

9:      neg     x0, x0                  // an order that failed: write(3, { 0xff, its number, errno }, 3)
        lsl     x0, x0, #16
        sub     x23, x23, x24
        lsl     x23, x23, #2            // its number, times 256
        orr     x0, x0, x23
        orr     x0, x0, #0xff
        str     x0, [sp, #-16]!
        mov     x8, #64
        mov     x0, #3
        mov     x1, sp
        mov     x2, #3
        svc     #0
        b       7b
