/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion: the shell calls "ais __complete WORD... LAST" and offers the lines that come back.
 *
 * Commands and flags come from the tables, buckets and nodes from the cluster, when it answers quickly.
 */
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "cli/api.h"
#include "cli/groups.h"

static bool
fits(const char *candidate, const char *last)
{
    return strncmp(candidate, last, strlen(last)) == 0;
}

/* --- words of commands --- */

/* Next words of the table's paths behind the n words; each once (rows of one group stand together). */
static unsigned
complete_words(int n, char *const *words, const char *last)
{
    struct str seen = STR_NULL;
    unsigned   shown = 0;

    for (unsigned g = 0; g < ngroups; g++)
        for (unsigned i = 0; i < *groups[g].count; i++) {
            const char *rest = cmd_below(&groups[g].cmds[i], n, words);
            struct str  r, w;

            if (rest == NULL || rest[0] == '\0')
                continue;
            r = str_z(rest);
            (void)str_split(&r, ' ', &w);
            if (str_eq(w, seen) || !str_starts(w, str_z(last)))
                continue;
            printf("%.*s\n", STR_FMT(w));
            seen = w;
            shown++;
        }
    return shown;
}

/* One-word aliases: ls, put, get ... */
static void
complete_shortcuts(const char *last)
{
    static const char *const own[] = { "help" };

    for (unsigned g = 0; g < ngroups; g++)
        for (unsigned i = 0; i < *groups[g].count; i++) {
            struct str rest = str_z(groups[g].cmds[i].alias), one;

            while (rest.p != NULL && str_split(&rest, '|', &one))
                if (str_chr(one, ' ') < 0 && str_starts(one, str_z(last)))
                    printf("%.*s\n", STR_FMT(one));
        }
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        if (fits(own[i], last))
            puts(own[i]);
}

static void
complete_flags(const struct cmd *c, const char *last)
{
    char name[64];

    for (const struct flag *f = c->flags; f != NULL && f->name != NULL; f++) {
        snprintf(name, sizeof(name), "--%s", f->name);
        if (fits(name, last))
            puts(name);
    }
    if (fits("--help", last))
        puts("--help");
}

/* --- what the cluster knows --- */

static void
complete_buckets(struct session *s, const char *last)
{
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *j = NULL;
    struct http_req q = { .method = "GET", .path = "/v1/buckets?presence=2", .body = "{\"action\":\"list\",\"value\":null}" };
    json_t         *o;
    size_t          i;

    if (api_json(s, &q, &r, &j, NULL) != CLI_OK)
        return;
    json_array_foreach(j, i, o)
    {
        struct str name = arena_printf(s->mem, "%s://%s", uri_scheme(get_text(o, "provider")), get_text(o, "name"));

        if (fits(name.p, last) || fits(get_text(o, "name"), last))
            puts(name.p);
    }
}

static void
complete_nodes(struct session *s, const char *last, bool targets_only)
{
    auto_resp struct http_resp r = { .status = 0 };
    auto_json json_t          *m = NULL;
    const char                *id;
    json_t                    *sn;

    if (api_get(s, "/v1/daemon?what=smap", &r, &m, NULL) != CLI_OK)
        return;
    if (!targets_only)
        json_object_foreach(json_object_get(m, "pmap"), id, sn) if (fits(id, last)) puts(id);
    json_object_foreach(json_object_get(m, "tmap"), id, sn) if (fits(id, last)) puts(id);
}

static void
complete_arg(enum arg_kind kind, const char *last)
{
    struct arena  *mem = arena_new(64 * KIB, 16 * MIB);
    struct session s;

    if (session_env(NULL) == CLI_OK && session_init(&s, mem, NULL) == CLI_OK) {
        switch (kind) {
        case ARG_BUCKET:
            complete_buckets(&s, last);
            break;
        case ARG_NODE:
            complete_nodes(&s, last, false);
            break;
        case ARG_TARGET:
            complete_nodes(&s, last, true);
            break;
        case ARG_NONE:
        case ARG_FILE: /* the shell's own */
            break;
        }
        session_fini(&s);
    }
    session_env_fini();
    arena_free(mem);
}

/* Arguments given so far, without flags and their values. */
static int
args_before(const struct cmd *c, int n, char *const *words)
{
    int args = 0;

    for (int i = 0; i < n; i++) {
        const struct flag *f;
        unsigned           at;

        if (words[i][0] != '-' || words[i][1] == '\0') {
            args++;
            continue;
        }
        f = flag_find(c, str_z(words[i] + (words[i][1] == '-' ? 2 : 1)), &at);
        if (f != NULL && f->value != NULL)
            i++;
    }
    return args;
}

int
cmd_complete(int n, char *const *words)
{
    const char       *last = n > 0 ? words[n - 1] : "";
    int               before = n > 0 ? n - 1 : 0, used;
    const struct cmd *c;

    if (before > 0 && strcmp(words[0], "help") == 0) {
        words++;
        before--;
    }
    c = cmd_find(before, words, &used);
    if (last[0] == '-' && c != NULL) {
        complete_flags(c, last);
        return CLI_OK;
    }
    complete_words(before, words, last);
    if (before == 0)
        complete_shortcuts(last);
    if (c != NULL)
        complete_arg(c->kinds[MIN(args_before(c, before - used, words + used), 1)], last);
    return CLI_OK;
}

/* --- scripts --- */

/*
 * Bash breaks words at ':' and '=', so "ais://b" would come in three; the line is split here by blanks instead, and what stands
 * before the last break is cut from the candidates again.
 */
static const char bash_script[] =
    "# bash completion of ais. Use: source <(ais completion bash)\n"
    "_ais() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} words last cut\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
    "    last=${words[${#words[@]}-1]}\n"
    "    mapfile -t COMPREPLY < <(ais __complete \"${words[@]:1}\" 2>/dev/null)\n"
    "    cut=\n"
    "    [[ $last == *:* && $COMP_WORDBREAKS == *:* ]] && cut=${last%\"${last##*:}\"}\n"
    "    [[ -z $cut ]] || COMPREPLY=(\"${COMPREPLY[@]#\"$cut\"}\")\n"
    "}\n"
    "complete -o default -F _ais ais\n";

static const char zsh_script[] =
    "#compdef ais\n"
    "# zsh completion of ais. Use: source <(ais completion zsh)\n"
    "_ais() {\n"
    "    local -a found\n"
    "    found=(\"${(@f)$(ais __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    if [[ -n ${found[1]} ]]; then compadd -Q -- \"${found[@]}\"; else _files; fi\n"
    "}\n"
    "compdef _ais ais\n";

static int
cmd_completion(struct ctx *c)
{
    if (strcmp(c->arg[0], "bash") == 0)
        fputs(bash_script, stdout);
    else if (strcmp(c->arg[0], "zsh") == 0)
        fputs(zsh_script, stdout);
    else
        return usage(c, "there is no completion for \"%s\" (there are: bash, zsh)", c->arg[0]);
    return CLI_OK;
}

/* clang-format off */
const struct cmd completion_cmds[] = {
    { "completion", NULL, "bash|zsh", "print a script that completes commands, flags, buckets and nodes",
      "Examples:\n"
      "   ais completion bash > /etc/bash_completion.d/ais",
      NULL, 1, 1, cmd_completion, { ARG_NONE, ARG_NONE } },
};
/* clang-format on */
DEFINE_GROUP_SIZE(completion);
