/* The quickstart's whole image: answers every request on port 8080 with the text in $GREETING. Without a C library, so that it is a few
   kilobytes and the example fits in the repository. x86-64 Linux; numbers are from arch/x86/entry/syscalls/syscall_64.tbl. */
typedef unsigned long word;

static word call(word n, word a, word b, word c, word d, word e) {
    word result;
    register word r10 __asm__("r10") = d;
    register word r8 __asm__("r8") = e;
    __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return result;
}

enum { READ = 0, WRITE = 1, CLOSE = 3, SIGACTION = 13, SOCKET = 41, ACCEPT = 43, BIND = 49, LISTEN = 50, SETSOCKOPT = 54, EXIT = 60 };

static void stop(int signal) { (void)signal; call(EXIT, 0, 0, 0, 0, 0); }

static word length(const char *s) { word n = 0; while (s[n]) n++; return n; }

static const char *environment(char **env, const char *name) {
    for (; *env; env++) {
        word i = 0;
        while (name[i] && (*env)[i] == name[i]) i++;
        if (!name[i] && (*env)[i] == '=') return *env + i + 1;
    }
    return "hello";
}

__attribute__((noreturn, used)) void begin(word *stack) {
    const char *greeting = environment((char **)(stack + 2 + stack[0]), "GREETING");
    /* A program that is process 1 is only ended by signals it handles. */
    struct { void (*handler)(int); word flags; void (*restorer)(void); word mask; } action = {stop, 0x04000000, 0, 0};
    call(SIGACTION, 15, (word)&action, 0, 8, 0);
    call(SIGACTION, 2, (word)&action, 0, 8, 0);
    struct { unsigned short family, port; unsigned address; char rest[8]; } here = {2, 0x901f /* 8080 in network order */, 0, {0}};
    int yes = 1;
    word server = call(SOCKET, 2, 1, 0, 0, 0);
    call(SETSOCKOPT, server, 1, 2, (word)&yes, sizeof yes);
    if (call(BIND, server, (word)&here, sizeof here, 0, 0) || call(LISTEN, server, 16, 0, 0, 0)) call(EXIT, 1, 0, 0, 0, 0);
    for (;;) {
        static char request[4096];
        static const char head[] = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n";
        word client = call(ACCEPT, server, 0, 0, 0, 0);
        if ((long)client < 0) continue;
        call(READ, client, (word)request, sizeof request, 0, 0);
        call(WRITE, client, (word)head, sizeof head - 1, 0, 0);
        call(WRITE, client, (word)greeting, length(greeting), 0, 0);
        call(WRITE, client, (word) "\n", 1, 0, 0);
        call(CLOSE, client, 0, 0, 0, 0);
    }
}

__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
