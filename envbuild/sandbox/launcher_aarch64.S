// Assembled into launcher.py, where its contract is; `as launcher_aarch64.S`, then `objcopy -O binary -j .text`.
        .globl _start
_start: add     x19, sp, #8             // the paths to try: argv, up to an empty one
        mov     x20, x19
1:      ldr     x0, [x20], #8
        cbz     x0, 5f                  // none of our making
        ldrb    w0, [x0]
        cbnz    w0, 1b                  // x20: the program's own argv
        mov     x21, x20
2:      ldr     x0, [x21], #8
        cbnz    x0, 2b                  // x21: its environment
        mov     x8, #25                 // fcntl(3, F_SETFD, FD_CLOEXEC)
        mov     x0, #3
        mov     x1, #2
        mov     x2, #1
        svc     #0
3:      ldr     x0, [x19]
        ldrb    w1, [x0]
        cbz     w1, 5f
        mov     x8, #221                // execve(path, argv, environment)
        mov     x1, x20
        mov     x2, x21
        svc     #0
        neg     x22, x0
        str     x22, [sp, #-16]!
        mov     x8, #64                 // write(3, &errno, 1)
        mov     x0, #3
        mov     x1, sp
        mov     x2, #1
        svc     #0
        cmp     x22, #13                // EACCES
        b.eq    4f
        cmp     x22, #20                // ENOTDIR
        b.eq    4f
        cmp     x22, #2                 // ENOENT
        b.ne    5f
        mov     x8, #48                 // faccessat(AT_FDCWD, path, F_OK): there, so what is missing is its interpreter
        mov     x0, #-100
        ldr     x1, [x19]
        mov     x2, #0
        svc     #0
        cbz     x0, 5f
4:      add     x19, x19, #8
        b       3b
5:      str     xzr, [sp, #-16]!        // write(3, "", 1): that was all
        mov     x8, #64
        mov     x0, #3
        mov     x1, sp
        mov     x2, #1
        svc     #0
        mov     x8, #94                 // exit_group(127)
        mov     x0, #127
        svc     #0
