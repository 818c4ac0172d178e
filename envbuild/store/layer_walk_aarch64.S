// Assembled into layer_walk.py, where its contract is; `as layer_walk_aarch64.S`, then `objcopy -O binary -j .text`.
        .set    STAT, 128               // the size of struct stat, which lies at the top of a frame
        .set    NAMES, 16384            // what getdents64 fills, behind it
        .set    FRAME, STAT + NAMES
        .globl _start
_start: add     x19, sp, #16            // the folders: argv from its second on
        adr     x20, table              // their times
1:      ldr     x1, [x19]
        cbz     x1, 5f
        ldp     x21, x22, [x20], #16    // x21, x22: seconds and nanoseconds
        sub     sp, sp, #STAT
        mov     x0, #-100               // AT_FDCWD
        bl      look
        add     sp, sp, #STAT
        mov     x8, #56                 // openat(AT_FDCWD, folder, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        mov     x0, #-100
        ldr     x1, [x19], #8
        mov     x2, #0xc000
        movk    x2, #0x8, lsl #16
        svc     #0
        tbnz    x0, #63, 6f
        bl      walk
        b       1b
5:      mov     x0, #0                  // nothing was changed
        b       7f
6:      mov     x0, #2                  // something could not be looked at
7:      mov     x8, #94                 // exit_group
        svc     #0

look:   mov     x8, #79                 // newfstatat(x0, x1, the caller's frame, AT_SYMLINK_NOFOLLOW)
        mov     x2, sp
        mov     x3, #0x100
        svc     #0
        tbnz    x0, #63, 6b
        ldp     x2, x3, [sp, #104]      // st_ctim
        cmp     x2, x21
        b.lt    2f
        b.gt    1f
        cmp     x3, x22
        b.gt    1f
2:      ret
1:      mov     x0, #1                  // it was changed
        b       7b

walk:   stp     x29, x30, [sp, #-48]!   // all in the directory x0, which is closed
        stp     x23, x24, [sp, #16]
        str     x25, [sp, #32]
        mov     x25, x0
        sub     sp, sp, #STAT
        sub     sp, sp, #NAMES
1:      mov     x8, #61                 // getdents64
        mov     x0, x25
        add     x1, sp, #STAT
        mov     x2, #NAMES
        svc     #0
        tbnz    x0, #63, 6b
        cbz     x0, 4f
        add     x23, sp, #STAT          // x23, x24: the entry, and the end of all
        add     x24, x23, x0
2:      cmp     x23, x24
        b.hs    1b
        ldrb    w2, [x23, #19]
        cmp     w2, #0x2e
        b.ne    5f
        ldrb    w2, [x23, #20]
        cbz     w2, 3f                  // "."
        cmp     w2, #0x2e
        b.ne    5f
        ldrb    w2, [x23, #21]
        cbz     w2, 3f                  // ".."
5:      mov     x0, x25
        add     x1, x23, #19
        bl      look
        ldr     w2, [sp, #16]           // st_mode
        and     w2, w2, #0170000
        cmp     w2, #0040000
        b.ne    3f
        mov     x8, #56                 // openat
        mov     x0, x25
        add     x1, x23, #19
        mov     x2, #0xc000
        movk    x2, #0x8, lsl #16
        svc     #0
        tbnz    x0, #63, 6b
        bl      walk
3:      ldrh    w2, [x23, #16]
        add     x23, x23, x2
        b       2b
4:      mov     x8, #57                 // close
        mov     x0, x25
        svc     #0
        add     sp, sp, #NAMES
        add     sp, sp, #STAT
        ldr     x25, [sp, #32]
        ldp     x23, x24, [sp, #16]
        ldp     x29, x30, [sp], #48
        ret
        .balign 8
table:
