/*
 * `nsinit exec` for a container that lives: the part of nsinit that enters it, which needs libcap alone of
 * its five libraries. nsinit-start executes a sealed copy of this. Where more is to be done after all, it
 * becomes nsinit.
 */
#include "../nsinit/commands.h"
#include "../nsinit/exec/front_parts.h"

#include <string.h>

static char **arguments;

/* What it holds is closed when it executes, the container's lock too. */
static int become_nsinit(struct nsi_error *err)
{
	return start_sealed(NSINIT_PROGRAM, arguments, err);
}

int front_spawn(const struct exec_options *o, const char *id, int rootfd, int *lock, struct front *f,
	struct nsi_exec *exec, struct nsi_error *err)
{
	(void)o, (void)id, (void)rootfd, (void)lock, (void)f, (void)exec;
	return become_nsinit(err);
}

int front_for(const struct exec_options *o, struct entry *e, struct front *f, struct nsi_exec *exec,
	struct nsi_error *err)
{
	(void)o, (void)e, (void)f, (void)exec;
	return become_nsinit(err);
}

int main(int argc, char **argv)
{
	struct nsi_error err = {0};

	arguments = argv;
	if (run_sealed(argv, &err) < 0)
		return report(&err);
	/* nsinit-start asks for nothing else of it. */
	if (argc < 2 || strcmp(argv[1], "exec") != 0)
		return become_nsinit(&err) < 0 ? report(&err) : 0;
	return cmd_exec(argc - 1, argv + 1);
}
