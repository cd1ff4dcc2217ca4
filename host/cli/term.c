/* SPDX-License-Identifier: MIT
 * Messages, exit codes and what is known about the terminal. The only state is whether a bar is on the screen. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MESSAGE_MAX 2048

static bool bar_on_screen;

static void put_clean(FILE *to, const char *text, bool keep_lines)
{
    for (const char *p = text; *p; p++) {
        const unsigned char c = (unsigned char)*p;
        const bool control = c < 0x20 || c == 0x7f;
        if (!control || (keep_lines && (c == '\n' || c == '\t'))) {
            fputc(c, to);
        } else {
            fputc(c == '\n' ? ' ' : '?', to);
        }
    }
}

static void say(const char *fmt, va_list ap)
{
    char text[MESSAGE_MAX];
    vsnprintf(text, sizeof text, fmt, ap);
    cli_bar_clear();
    fputs("dydit: ", stderr);
    put_clean(stderr, text, false);
    fputc('\n', stderr);
    fflush(stderr);
}

int cli_fail(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
    return code;
}

void cli_note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

int cli_exit_code(dydit_status status)
{
    switch (status) {
    case DYDIT_OK: return CLI_OK;
    case DYDIT_ERR_ARG: return CLI_USAGE;
    case DYDIT_ERR_FORMAT:
    case DYDIT_ERR_NOT_FOUND:
    case DYDIT_ERR_UNSUPPORTED: return CLI_INPUT;
    case DYDIT_ERR_CANCELLED: return CLI_STOPPED;
    case DYDIT_ERR_NOMEM:
    case DYDIT_ERR_IO:
    case DYDIT_ERR_DEVICE:
    case DYDIT_ERR_INTERNAL: break;
    }
    return CLI_SYSTEM;
}

int cli_fail_status(const dydit_ctx *ctx, dydit_status status)
{
    const char *text = ctx ? dydit_message(ctx) : "out of memory";
    return cli_fail(cli_exit_code(status), "%s", text[0] ? text : dydit_status_name(status));
}

void cli_out(const char *text)
{
    cli_bar_clear();
    put_clean(stdout, text, true);
}

void cli_outf(const char *fmt, ...)
{
    char text[MESSAGE_MAX * 4];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cli_out(text);
}

void cli_stdio_open(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) != -1) continue;
        /* Opened the wrong way round: what is printed there still fails, and is noticed. */
        if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0) return;
    }
}

int cli_stdio_close(int rc)
{
    errno = 0;
    const bool earlier = ferror(stdout) != 0;
    if ((fflush(stdout) != 0 || earlier) && rc == CLI_OK) {
        return cli_fail(CLI_SYSTEM, "could not write to standard output: %s", errno ? strerror(errno) : "write error");
    }
    return rc;
}

void cli_bar_draw(const char *text)
{
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    bar_on_screen = true;
}

void cli_bar_clear(void)
{
    if (!bar_on_screen) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    bar_on_screen = false;
}

bool cli_stderr_is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && (!term || strcmp(term, "dumb") != 0);
}

int cli_stderr_columns(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0) return w.ws_col;
    const char *text = getenv("COLUMNS");
    const long n = text ? strtol(text, NULL, 10) : 0;
    return n > 0 && n <= 10000 ? (int)n : 80;
}

const char *cli_bytes_text(uint64_t bytes, char *buf, size_t size)
{
    static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    int u = 0;
    while (v >= 1024.0 && u < 6) {
        v /= 1024.0;
        u++;
    }
    snprintf(buf, size, u == 0 ? "%.0f %s" : v < 10.0 ? "%.2f %s" : v < 100.0 ? "%.1f %s" : "%.0f %s", v, unit[u]);
    return buf;
}

const char *cli_count_text(double count, char *buf, size_t size)
{
    static const char *const unit[] = {"", " k", " M", " G", " T", " P", " E"};
    int u = 0;
    while (count >= 1000.0 && u < 6) {
        count /= 1000.0;
        u++;
    }
    snprintf(buf, size, "%.4g%s", count, unit[u]);
    return buf;
}
