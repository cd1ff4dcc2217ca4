// SPDX-License-Identifier: MIT
// EMU_KERNELS: which kernels the program executed, so that a test can tell which ones nothing did.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <map>
#include <string>

#include "config.h"
#include "report.h"

namespace emu
{

// Never destroyed: it is read at the very end.
static std::map<std::string, uint64_t> &executed()
{
    static std::map<std::string, uint64_t> &names = *new std::map<std::string, uint64_t>;
    return names;
}

void note_executed(const char *name)
{
    if (config().kernels) executed()[name]++;
}

// One write, so that lines of programs that end at the same time do not mix.
void write_executed()
{
    if (!config().kernels || executed().empty()) return;
    std::string lines;
    for (const auto &k : executed()) lines += k.first + " " + std::to_string(k.second) + "\n";
    const int file = open(config().kernels, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file >= 0 && write(file, lines.data(), lines.size()) == static_cast<ssize_t>(lines.size()) && close(file) == 0)
        return;
    fprintf(stderr, "emu: EMU_KERNELS=%s cannot be written\n", config().kernels);
    _exit(EXIT_STATUS);
}

} // namespace emu
