/* SPDX-License-Identifier: MIT
 * The dydit program: picks the command. Exit codes: 0 done, 2 wrong usage, 3 bad input file, 4 system, 5 slower
 * (bench --compare), 130 stopped. */
#include <string.h>

#include "cli/common.h"

typedef struct command {
    const char *name;
    cli_command_fn *run;
    const char *summary;
} command;

static const command commands[] = {
    {"sample", cli_sample, "draw pictures from a checkpoint"},
    {"decode", cli_decode, "turn latents into pictures"},
    {"plan", cli_plan, "show what every step computes"},
    {"inspect", cli_inspect, "say what a checkpoint file is"},
    {"eval", cli_eval, "one forward pass on given inputs"},
    {"convert", cli_convert, "write any checkpoint as a safetensors file"},
    {"bench", cli_bench, "time the complete model and plans that compute less"},
    {"tune", cli_tune, "measure which engine is faster for each GEMM"},
    {"info", cli_info, "backends, devices, instruction set, threads"},
};
#define N_COMMANDS ((int)(sizeof commands / sizeof commands[0]))

static int print_version(void)
{
    cli_outf("dydit %s\n", dydit_version());
    return CLI_OK;
}

static int print_help(void)
{
    cli_outf("dydit %s: samples pictures from Diffusion Transformers whose work changes with timestep and token\n\n"
             "usage: dydit COMMAND [flags]\n\ncommands:\n",
             dydit_version());
    for (int i = 0; i < N_COMMANDS; i++) cli_outf("  %-9s %s\n", commands[i].name, commands[i].summary);
    cli_outf("  %-9s this text, or that of a command: dydit help sample\n  %-9s print the version\n", "help",
             "version");
    cli_out("\nexamples:\n"
            "  dydit sample --ckpt models/glyphs.safetensors --steps ddim50 --cfg-scale 2 -o alphabet.png\n"
            "  dydit plan --ckpt models/glyphs.safetensors --steps ddim50\n"
            "\nexit codes: 0 done, 2 wrong usage, 3 bad input file, 4 trouble with the system, 5 slower than before "
            "(bench --compare),\n"
            "            130 stopped\n");
    return CLI_OK;
}

static const command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[N_COMMANDS + 2];
    char near[256];
    for (int i = 0; i < N_COMMANDS; i++) names[i] = commands[i].name;
    names[N_COMMANDS] = "help";
    names[N_COMMANDS + 1] = "version";
    cli_near(name, names, N_COMMANDS + 2, "", near, sizeof near);
    return cli_fail(CLI_USAGE, "unknown command '%s'%s", name, near[0] ? near : "; see 'dydit help'");
}

static int help_about(int n_words, char **words)
{
    static char flag[] = "--help";
    char *as_flag[] = {flag, NULL};
    if (n_words == 0 || strcmp(words[0], "help") == 0 || strcmp(words[0], "version") == 0) return print_help();
    if (n_words > 1) return cli_fail(CLI_USAGE, "unexpected argument '%s' after 'help %s'", words[1], words[0]);
    const command *c = find_command(words[0]);
    return c ? c->run(1, as_flag) : unknown_command(words[0]);
}

static int dispatch(int n_words, char **words)
{
    if (n_words == 0) return cli_fail(CLI_USAGE, "no command given; see 'dydit help'");
    const char *name = words[0];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        return help_about(n_words - 1, words + 1);
    }
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        if (n_words > 1) return cli_fail(CLI_USAGE, "unexpected argument '%s' after '%s'", words[1], name);
        return print_version();
    }
    if (name[0] == '-') return cli_fail(CLI_USAGE, "the command comes before the flags: dydit sample %s ...", name);
    const command *c = find_command(name);
    return c ? c->run(n_words - 1, words + 1) : unknown_command(name);
}

int main(int argc, char **argv)
{
    cli_stdio_open();
    const int n_words = argc > 0 ? argc - 1 : 0;
    return cli_stdio_close(dispatch(n_words, argv + (argc > 0)));
}
