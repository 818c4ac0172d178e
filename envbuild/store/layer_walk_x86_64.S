# Assembled into layer_walk.py, where its contract is; `as layer_walk_x86_64.S`, then `objcopy -O binary -j .text`.
        .set    STAT, 144               # the size of struct stat, which lies at the top of a frame
        .set    NAMES, 16384            # what getdents64 fills, behind it
        .set    FRAME, STAT + NAMES
        .globl _start
_start: lea     16(%rsp), %r12          # the folders: argv from its second on
        lea     table(%rip), %r13       # their times
1:      mov     (%r12), %rsi
        test    %rsi, %rsi
        je      5f
        mov     (%r13), %rbx            # %rbx, %rbp: seconds and nanoseconds
        mov     8(%r13), %rbp
        sub     $STAT, %rsp
        mov     $-100, %edi             # AT_FDCWD
        call    look
        add     $STAT, %rsp
        mov     $257, %eax              # openat(AT_FDCWD, folder, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        mov     $-100, %edi
        mov     (%r12), %rsi
        mov     $0xb0000, %edx
        syscall
        test    %eax, %eax
        js      6f
        mov     %eax, %edi
        call    walk
        add     $8, %r12
        add     $16, %r13
        jmp     1b
5:      xor     %edi, %edi              # nothing was changed
        jmp     7f
6:      mov     $2, %edi                # something could not be looked at
7:      mov     $231, %eax              # exit_group
        syscall

look:   mov     $262, %eax              # newfstatat(%edi, %rsi, the caller's frame, AT_SYMLINK_NOFOLLOW)
        lea     8(%rsp), %rdx
        mov     $0x100, %r10d
        syscall
        test    %eax, %eax
        js      6b
        cmp     %rbx, 8+104(%rsp)       # st_ctim
        jl      2f
        jg      1f
        cmp     %rbp, 8+112(%rsp)
        jg      1f
2:      ret
1:      mov     $1, %edi                # it was changed
        jmp     7b

walk:   push    %r14                    # all in the directory %edi, which is closed
        push    %r15
        push    %rdi
        sub     $FRAME, %rsp
1:      mov     $217, %eax              # getdents64
        mov     FRAME(%rsp), %edi
        lea     STAT(%rsp), %rsi
        mov     $NAMES, %edx
        syscall
        test    %eax, %eax
        js      6b
        je      4f
        lea     STAT(%rsp), %r14        # %r14, %r15: the entry, and the end of all
        lea     (%r14, %rax), %r15
2:      cmp     %r15, %r14
        jae     1b
        movzwl  19(%r14), %eax
        cmp     $0x2e, %eax             # "."
        je      3f
        cmp     $0x2e2e, %eax
        jne     5f
        cmpb    $0, 21(%r14)            # ".."
        je      3f
5:      mov     FRAME(%rsp), %edi
        lea     19(%r14), %rsi
        call    look
        mov     24(%rsp), %eax          # st_mode
        and     $0170000, %eax
        cmp     $0040000, %eax
        jne     3f
        mov     $257, %eax              # openat
        mov     FRAME(%rsp), %edi
        lea     19(%r14), %rsi
        mov     $0xb0000, %edx
        syscall
        test    %eax, %eax
        js      6b
        mov     %eax, %edi
        call    walk
3:      movzwl  16(%r14), %eax
        add     %rax, %r14
        jmp     2b
4:      mov     $3, %eax                # close
        mov     FRAME(%rsp), %edi
        syscall
        add     $FRAME, %rsp
        pop     %rdi
        pop     %r15
        pop     %r14
        ret
        .balign 8
table:
