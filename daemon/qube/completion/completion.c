/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Completion scripts for bash and zsh, from the tables. Names of qubes come from `qube ls --names`
 * when TAB is pressed; they are compared and added as data, never evaluated by the shell. */
#include "../cli.h"

#include <stdio.h>
#include <string.h>

static void print_options_of(cli_bits options)
{
	for (int i = 0; i < O_N_OPTIONS; i++)
		if ((options >> i) & 1)
			printf(" --%s%s", cli_optdefs[i].name,
			       cli_optdefs[i].arg == CLI_ARG_NEEDED ? "=" : "");
}

/* A case of "VERB": its options and whether its arguments are qubes. */
static void print_cases(void)
{
	for (size_t i = 0; i < cli_n_verbs; i++) {
		const struct cli_verb *v = &cli_verbs[i];

		printf("\t'%s')\n\t\toptions=\"$options", v->name);
		print_options_of(v->options);
		printf("\"\n\t\tqubes=%d\n\t\t;;\n", v->flags & CLI_V_QUBES ? 1 : 0);
	}
}

/* The first words of all verbs, each once: rows of a group stand together. */
static void print_first_words(void)
{
	const char *last = "";
	size_t last_len = 0;

	for (size_t i = 0; i < cli_n_verbs; i++) {
		size_t len = strcspn(cli_verbs[i].name, " ");

		if (len == last_len && memcmp(cli_verbs[i].name, last, len) == 0)
			continue;
		last = cli_verbs[i].name;
		last_len = len;
		printf(" %.*s", (int)len, last);
	}
}

/* A case of each group: its second words. */
static void print_groups(void)
{
	for (size_t i = 0; i < cli_n_verbs; i++) {
		const char *space = strchr(cli_verbs[i].name, ' ');
		size_t len;

		if (!space)
			continue;
		len = (size_t)(space - cli_verbs[i].name);
		if (i && strncmp(cli_verbs[i - 1].name, cli_verbs[i].name, len + 1) == 0)
			continue;
		printf("\t%.*s)\n\t\tsecond=\"", (int)len, cli_verbs[i].name);
		for (size_t k = i; k < cli_n_verbs; k++)
			if (strncmp(cli_verbs[k].name, cli_verbs[i].name, len + 1) == 0)
				printf("%s%s", k == i ? "" : " ", cli_verbs[k].name + len + 1);
		printf("\"\n\t\t;;\n");
	}
}

/* Patterns of global options whose value is the next word: those that say which host, or others. */
static void print_value_options(bool host)
{
	cli_bits of_host = CLI_BIT(O_SOCKET) | CLI_BIT(O_STATE_DIR) | CLI_BIT(O_RUN_DIR) |
			   CLI_BIT(O_POLICY_ROOT) | CLI_BIT(O_LIBEXEC_DIR);
	const char *bar = "";

	for (int i = 0; i < O_N_OPTIONS; i++) {
		if (!((CLI_GLOBAL >> i) & 1) || cli_optdefs[i].arg != CLI_ARG_NEEDED ||
		    host != (bool)((of_host >> i) & 1))
			continue;
		printf("%s--%s", bar, cli_optdefs[i].name);
		bar = "|";
	}
}

/* What both shells share: finds verb, second, options, qubes and the options that say which host
 * is asked. `words`, `first` and `current` are set before. */
static void print_common(void)
{
	printf("\tlocal verb= second= options= qubes=0 word i ended=0\n"
	       "\tlocal -a host=()\n"
	       "\tfor ((i = first; i < current; i++)); do\n"
	       "\t\tword=${words[i]}\n"
	       "\t\tcase $word in\n"
	       "\t\t--) ended=1; break ;;\n"
	       "\t\t--socket=*|--embedded|--state-dir=*|--run-dir=*) host+=(\"$word\") ;;\n"
	       "\t\t");
	print_value_options(true);
	printf(") ((i += 1)); host+=(\"$word\" \"${words[i]}\") ;;\n"
	       "\t\t");
	print_value_options(false);
	printf(") ((i += 1)) ;;\n"
	       "\t\t-*) ;;\n"
	       "\t\t*) if [[ -z $verb ]]; then verb=$word; fi ;;\n"
	       "\t\tesac\n"
	       "\tdone\n"
	       "\tcase $verb in\n");
	print_groups();
	printf("\tesac\n"
	       "\tif [[ -n $second ]]; then\n"
	       "\t\tfor ((i = first; i < current; i++)); do\n"
	       "\t\t\tif [[ \" $second \" == *\" ${words[i]} \"* ]]; then\n"
	       "\t\t\t\tverb=\"$verb ${words[i]}\"\n"
	       "\t\t\t\tsecond=\n"
	       "\t\t\t\tbreak\n"
	       "\t\t\tfi\n"
	       "\t\tdone\n"
	       "\tfi\n"
	       "\toptions=\"");
	print_options_of(CLI_GLOBAL);
	printf("\"\n"
	       "\tcase $verb in\n");
	print_cases();
	printf("\tesac\n"
	       "\tif ((ended)); then return 0; fi\n");
}

static void print_bash(void)
{
	printf("# Completion of qube(1) for bash: source it, or install it as\n"
	       "# /usr/share/bash-completion/completions/qube. Made by: qube completion bash\n"
	       "_qube_add()\n"
	       "{\n"
	       "\tlocal word\n"
	       "\tfor word in $1; do\n"
	       "\t\tif [[ $word == \"$cur\"* ]]; then COMPREPLY+=(\"$word\"); fi\n"
	       "\tdone\n"
	       "}\n"
	       "_qube()\n"
	       "{\n"
	       "\tlocal cur first=1 current n glue=0 name\n"
	       "\tlocal -a words=()\n"
	       "\tCOMPREPLY=()\n"
	       "\t# bash takes --option=value apart at the equals sign\n"
	       "\tfor ((n = 0; n <= COMP_CWORD; n++)); do\n"
	       "\t\tif [[ ${COMP_WORDS[n]} == = && n -gt 1 ]]; then\n"
	       "\t\t\twords[${#words[@]}-1]+='='\n"
	       "\t\t\tglue=1\n"
	       "\t\telif ((glue)); then\n"
	       "\t\t\twords[${#words[@]}-1]+=${COMP_WORDS[n]}\n"
	       "\t\t\tglue=0\n"
	       "\t\telse\n"
	       "\t\t\twords+=(\"${COMP_WORDS[n]}\")\n"
	       "\t\tfi\n"
	       "\tdone\n"
	       "\tcurrent=$((${#words[@]} - 1))\n"
	       "\tcur=${words[current]}\n");
	print_common();
	printf("\tif [[ $cur == -*=* ]]; then\n"
	       "\t\treturn 0\n"
	       "\telif [[ $cur == -* ]]; then\n"
	       "\t\t_qube_add \"$options\"\n"
	       "\t\tif [[ ${COMPREPLY[0]-} == *= ]]; then compopt -o nospace 2>/dev/null; fi\n"
	       "\telif [[ -z $verb ]]; then\n"
	       "\t\t_qube_add \"");
	print_first_words();
	printf("\"\n"
	       "\telif [[ -n $second ]]; then\n"
	       "\t\t_qube_add \"$second\"\n"
	       "\telif ((qubes)); then\n"
	       "\t\twhile IFS= read -r name; do\n"
	       "\t\t\tif [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*$ && $name == \"$cur\"* ]]; then\n"
	       "\t\t\t\tCOMPREPLY+=(\"$name\")\n"
	       "\t\t\tfi\n"
	       "\t\tdone < <(\"${COMP_WORDS[0]}\" ${host[@]+\"${host[@]}\"} ls --names "
	       "2>/dev/null </dev/null)\n"
	       "\telif [[ $verb == completion ]]; then\n"
	       "\t\t_qube_add 'bash zsh'\n"
	       "\telif [[ $verb == help ]]; then\n"
	       "\t\t_qube_add \"");
	print_first_words();
	printf("\"\n"
	       "\tfi\n"
	       "\treturn 0\n"
	       "}\n"
	       "complete -F _qube qube\n");
}

static void print_zsh(void)
{
	printf("#compdef qube\n"
	       "# Completion of qube(1) for zsh: install it as _qube in a directory of $fpath.\n"
	       "# Made by: qube completion zsh\n"
	       "_qube()\n"
	       "{\n"
	       "\tlocal first=2 current=$CURRENT cur=${words[CURRENT]} name\n"
	       "\tlocal -a names=()\n");
	print_common();
	printf("\tif [[ $cur == -* ]]; then\n"
	       "\t\tcompadd -- ${=options}\n"
	       "\telif [[ -z $verb ]]; then\n"
	       "\t\tcompadd --");
	print_first_words();
	printf("\n"
	       "\telif [[ -n $second ]]; then\n"
	       "\t\tcompadd -- ${=second}\n"
	       "\telif ((qubes)); then\n"
	       "\t\twhile IFS= read -r name; do\n"
	       "\t\t\tif [[ $name =~ '^[A-Za-z0-9][A-Za-z0-9_.-]*$' ]]; then "
	       "names+=(\"$name\"); fi\n"
	       "\t\tdone < <(\"${words[1]}\" \"${host[@]}\" ls --names 2>/dev/null </dev/null)\n"
	       "\t\tcompadd -- \"${names[@]}\"\n"
	       "\telif [[ $verb == completion ]]; then\n"
	       "\t\tcompadd -- bash zsh\n"
	       "\telif [[ $verb == help ]]; then\n"
	       "\t\tcompadd --");
	print_first_words();
	printf("\n"
	       "\tfi\n"
	       "}\n"
	       "_qube \"$@\"\n");
}

int cmd_completion(struct cli *c)
{
	if (strcmp(c->o.pos[0], "bash") == 0)
		print_bash();
	else if (strcmp(c->o.pos[0], "zsh") == 0)
		print_zsh();
	else
		return cli_usage(c, "there is completion for bash and zsh");
	return cli_finish_output(c, 0);
}
