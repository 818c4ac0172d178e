# Assembled into launcher.py, where its contract is; `as launcher_x86_64.S`, then `objcopy -O binary -j .text`.
        .set    ORDERS, 0x600000
        .set    SIZE, 0x800000
        .globl _start
_start: lea     8(%rsp), %r12           # the paths to try: argv, up to an empty one
        mov     %r12, %r13
1:      mov     (%r13), %rax
        add     $8, %r13
        test    %rax, %rax
        je      8f                      # none of our making
        cmpb    $0, (%rax)
        jne     1b                      # %r13: the program's own argv
        mov     %r13, %r14
2:      mov     (%r14), %rax
        add     $8, %r14
        test    %rax, %rax
        jne     2b                      # %r14: its environment

        mov     $4, %r15d
orders: xor     %ebp, %ebp              # all that comes from descriptor %r15, if there is anything
1:      xor     %eax, %eax              # read(%r15, ORDERS + length, SIZE - length)
        mov     %r15d, %edi
        lea     ORDERS(%rbp), %rsi
        mov     $SIZE, %edx
        sub     %ebp, %edx
        je      2f
        syscall
        test    %rax, %rax
        jle     2f
        add     %rax, %rbp
        jmp     1b
2:      test    %ebp, %ebp
        je      4f
        mov     $ORDERS, %ebx           # %rbx: the order that comes next
3:      mov     (%rbx), %rax
        test    %rax, %rax
        js      5f
        mov     8(%rbx), %rdi
        mov     16(%rbx), %rsi
        mov     24(%rbx), %rdx
        mov     32(%rbx), %r10
        mov     40(%rbx), %r8
        mov     48(%rbx), %r9
        syscall
        test    %rax, %rax
        js      9f
        add     $64, %rbx
        jmp     3b
5:      mov     8(%rbx), %r15d
        add     $3, %rax
        je      orders                  # -3: read others from a descriptor
        dec     %rax
        jne     5f
        mov     $57, %eax               # -2: fork
        syscall
        test    %rax, %rax
        js      9f
        jne     6f
        add     $64, %rbx
        jmp     3b

5:      mov     8(%rbx), %r12           # -1: execute; the paths, the argv and the environment are with the orders
        mov     16(%rbx), %r13
        mov     24(%rbx), %r14
        jmp     4f

6:      mov     %eax, %ebp              # the parent: reaps until its child is gone, then ends and reaps all others
1:      mov     $61, %eax               # wait4(-1, ORDERS, 0, 0)
        mov     $-1, %rdi
        mov     $ORDERS, %esi
        xor     %edx, %edx
        xor     %r10d, %r10d
        syscall
        cmp     %ebp, %eax
        jne     1b
        mov     $62, %eax               # kill(-1, SIGKILL)
        mov     $-1, %rdi
        mov     $9, %esi
        syscall
2:      mov     $61, %eax               # wait4(-1, 0, 0, 0), until there is none
        mov     $-1, %rdi
        xor     %esi, %esi
        xor     %edx, %edx
        xor     %r10d, %r10d
        syscall
        cmp     $-10, %rax              # ECHILD
        jne     2b
        mov     $1, %eax                # write(3, ORDERS, 4): the child's status
        mov     $3, %edi
        mov     $ORDERS, %esi
        mov     $4, %edx
        syscall
        jmp     7f

4:      mov     $72, %eax               # fcntl(3, F_SETFD, FD_CLOEXEC)
        mov     $3, %edi
        mov     $2, %esi
        mov     $1, %edx
        syscall
3:      mov     (%r12), %rdi
        cmpb    $0, (%rdi)
        je      8f
        mov     $59, %eax               # execve(path, argv, environment)
        mov     %r13, %rsi
        mov     %r14, %rdx
        syscall
        neg     %eax
        mov     %eax, %ebp
        cmp     $2, %ebp                # ENOENT
        jne     4f
        mov     $21, %eax               # access(path, F_OK)
        mov     (%r12), %rdi
        xor     %esi, %esi
        syscall
        test    %eax, %eax
        jne     4f
        mov     $79, %ebp               # ELIBACC: it is there, so what is missing is its interpreter
4:      push    %rbp
        mov     $1, %eax                # write(3, &errno, 1)
        mov     $3, %edi
        mov     %rsp, %rsi
        mov     $1, %edx
        syscall
        add     $8, %r12
        cmp     $13, %ebp               # EACCES
        je      3b
        cmp     $20, %ebp               # ENOTDIR
        je      3b
        cmp     $2, %ebp
        je      3b
8:      push    $0                      # write(3, "", 1): that was all
        mov     $1, %eax
        mov     $3, %edi
        mov     %rsp, %rsi
        mov     $1, %edx
        syscall
7:      mov     $231, %eax              # exit_group(127)
        mov     $127, %edi
        syscall

9:      neg     %eax                    # an order that failed: write(3, { 0xff, its number, errno }, 3)
        shl     $16, %eax
        sub     $ORDERS, %ebx
        shl     $2, %ebx                # its number, times 256
        or      %ebx, %eax
        or      $0xff, %eax
        push    %rax
        mov     $1, %eax
        mov     $3, %edi
        mov     %rsp, %rsi
        mov     $3, %edx
        syscall
        jmp     7b
