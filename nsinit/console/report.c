#include "../../libcore/base/error.h"
#include "../commands.h"

#include <stdio.h>

int report(const struct nsi_error *err)
{
	char text[2048];

	fprintf(stderr, "nsinit: %s\n", nsi_error_text(err, text, sizeof(text)));
	return err->exit_status ? err->exit_status : NSI_EXIT_FAILED;
}
