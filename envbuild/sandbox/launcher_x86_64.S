# Assembled into launcher.py, where its contract is; `as launcher_x86_64.S`, then `objcopy -O binary -j .text`.
        .globl _start
_start: lea     8(%rsp), %r12           # the paths to try: argv, up to an empty one
        mov     %r12, %r13
1:      mov     (%r13), %rax
        add     $8, %r13
        test    %rax, %rax
        je      5f                      # none of our making
        cmpb    $0, (%rax)
        jne     1b                      # %r13: the program's own argv
        mov     %r13, %r14
2:      mov     (%r14), %rax
        add     $8, %r14
        test    %rax, %rax
        jne     2b                      # %r14: its environment
        mov     $72, %eax               # fcntl(3, F_SETFD, FD_CLOEXEC)
        mov     $3, %edi
        mov     $2, %esi
        mov     $1, %edx
        syscall
3:      mov     (%r12), %rdi
        cmpb    $0, (%rdi)
        je      5f
        mov     $59, %eax               # execve(path, argv, environment)
        mov     %r13, %rsi
        mov     %r14, %rdx
        syscall
        neg     %eax
        mov     %eax, %ebp
        push    %rax
        mov     $1, %eax                # write(3, &errno, 1)
        mov     $3, %edi
        mov     %rsp, %rsi
        mov     $1, %edx
        syscall
        cmp     $13, %ebp               # EACCES
        je      4f
        cmp     $20, %ebp               # ENOTDIR
        je      4f
        cmp     $2, %ebp                # ENOENT
        jne     5f
        mov     $21, %eax               # access(path, F_OK): there, so what is missing is its interpreter
        mov     (%r12), %rdi
        xor     %esi, %esi
        syscall
        test    %eax, %eax
        je      5f
4:      add     $8, %r12
        jmp     3b
5:      push    $0                      # write(3, "", 1): that was all
        mov     $1, %eax
        mov     $3, %edi
        mov     %rsp, %rsi
        mov     $1, %edx
        syscall
        mov     $231, %eax              # exit_group(127)
        mov     $127, %edi
        syscall
